"""Every error that Slipway raises on purpose, drawn as the tree that it is.

    SlipwayError                  one sentence: where, what is wrong; what to do
    ├── WorkspaceError            no clusters/ folder, no such cluster, several clusters and none named
    ├── SpecError                 faults in clusters/<c>/ input files, all of them at once (`faults`)
    ├── RenderError               the model cannot become a tree: two owners of one path, a slot without a secret
    ├── StaleTreeError            rendered/<c> is not what the inputs give (`differences`)
    ├── ArtifactError             an artifact is missing, not locked, or has another digest
    ├── SealingError              age: no identity, a wrong one, a file that does not open
    ├── PkiError                  a certificate that does not match its key, an expired CA
    └── FleetError                anything about hosts and the API of a cluster
        ├── HostError             one host: unreachable, unknown key, no sudo, a program missing (`host`)
        │   └── LostHostError     the connection to a host broke while it was used (`begun`)
        ├── GateError             a gate that did not open in time (`host`, `unit`, `journal`)
        ├── LockError             somebody else holds the cluster's lock (`holder`)
        ├── ApiError              the Kubernetes API refused or could not be reached (`status`, `reason`)
        └── RefusedError          a change that Slipway will not make, with the reason

A caller that only reports needs `SlipwayError`; its text is the whole message, without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class SlipwayError(Exception):
    """An error with one clear sentence for the operator."""


class WorkspaceError(SlipwayError):
    """The workspace or the cluster in it cannot be found."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in an input file; `line` counts from 1 and is 0 where no line can be named."""

    file: str
    line: int
    path: str
    what: str
    todo: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        subject = f" {self.path}:" if self.path else ""
        return f"{where}:{subject} {self.what}; {self.todo}"


class SpecError(SlipwayError):
    """The input of a cluster has faults; `faults` holds all of them, in the order of files and lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class RenderError(SlipwayError):
    """The model cannot be turned into a tree."""


class StaleTreeError(SlipwayError):
    """The rendered tree is not what the inputs give; `differences` lists the paths that differ."""

    def __init__(self, message: str, differences: Iterable[str] = ()) -> None:
        self.differences: tuple[str, ...] = tuple(differences)
        super().__init__(message)


class ArtifactError(SlipwayError):
    """A binary or archive is missing, not locked, or not what the lock says."""


class SealingError(SlipwayError):
    """A secret cannot be sealed or opened."""


class PkiError(SlipwayError):
    """A certificate or key is not fit for its use."""


class FleetError(SlipwayError):
    """Something on the hosts or in the API of a cluster stands in the way."""


class HostError(FleetError):
    """One host cannot be worked with; `host` is its name in the inventory."""

    def __init__(self, message: str, host: str) -> None:
        self.host = host
        super().__init__(message)


class LostHostError(HostError):
    """The connection to a host broke while it was used; `begun` False: before the host had got anything to do."""

    def __init__(self, message: str, host: str, *, begun: bool) -> None:
        self.begun = begun
        super().__init__(message, host)


class GateError(FleetError):
    """A health gate stayed shut; `journal` holds the last lines of the unit's journal."""

    def __init__(self, message: str, host: str, unit: str = "", journal: str = "") -> None:
        self.host = host
        self.unit = unit
        self.journal = journal
        super().__init__(message)


class LockError(FleetError):
    """The lock of the cluster is held by another run; `holder` says whose."""

    def __init__(self, message: str, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


class ApiError(FleetError):
    """The Kubernetes API refused a request or could not be reached.

    `status` is the HTTP status (0 where no answer came), `reason` the API's own word for it, such as "NotFound".
    """

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(message)


class RefusedError(FleetError):
    """Slipway will not make this change; the message says why and what the way is."""
