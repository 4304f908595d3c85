"""The one question that a plan, a push and the gates ask of a host, and its answer read."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from fleet.host_scripts import Lines
from fleet.kernels import Kernel
from fleet.state import HostState, Owned, PathFacts
from fleet.tree import Host, Phase, RenderedTree
from fleet.unit_show import units_of
from generator.errors import HostError

PROGRAMS = (
    "systemctl",
    "systemd-sysusers",
    "stat",
    "sha256sum",
    "sort",
    "join",
    "cut",
    "head",
    "base64",
    "tar",
    "gzip",
)
"""What every host must have: programs of systemd, a POSIX shell, coreutils, tar, gzip."""


def formation_paths(phase: Phase) -> tuple[str, str, str]:
    """Return mark, data and drop-in of a phase that forms a cluster of members."""
    unit = phase.formation["unit"]
    return (
        phase.formation["mark"],
        f"{phase.formation['data']}/member",
        f"/run/systemd/system/{unit}.d/50-slipway-formation.conf",
    )


def watched_folders(host: Host) -> tuple[str, ...]:
    """Return the folders below /etc that we make and fill: what else lies there was put there by somebody."""
    filled = {item.path.rpartition("/")[0] for item in host.items if item.path and item.kind != "directory"}
    return tuple(
        item.path
        for item in host.items
        if item.kind == "directory" and item.path.startswith("/etc/") and item.path in filled
    )


def question(tree: RenderedTree, host: Host, *, deep: bool = False) -> bytes:
    """Return what to ask a host: everything that a plan, a push and the gates need to know, in one exchange."""
    lines = ["deep"] if deep else []
    lines.append(f"staged\t{host.digest}")
    if host.kernel:
        lines.append("kernel")
    lines += [f"program\t{program}" for program in PROGRAMS]
    if tree.fetch == "host":
        lines += ["program\tcurl", "program\twget"]
    for item in host.items:
        match item.kind:
            case "unit" | "user" | "package":
                lines.append(f"{item.kind}\t{item.name}")
            case _:
                lines.append(f"{'secret' if item.is_secret else 'path'}\t{item.path}")
    own = {unit.name for unit in host.units()}
    lines += [f"folder\t{folder}" for folder in watched_folders(host)]
    strangers = {unit for item in host.items for unit in (*item.restarts, *item.reloads)} - own
    lines += [f"unit\t{unit}" for unit in sorted(strangers)]
    for phase in tree.phases:
        if phase.formation and phase.roles & host.pool.roles:
            lines += [f"exists\t{path}" for path in formation_paths(phase)]
        if phase.join and host.node:
            lines.append(f"certificate\t{phase.join['clientCertificate']}")
            lines.append(f"exists\t{phase.join['kubeconfig']}")
    return ("\n".join(lines) + "\n").encode()


def state_from(host: str, lines: Lines, *, asked: float | None = None, now: float | None = None) -> HostState:
    """Return the facts in an answer.

    `asked` and `now` (seconds since 1970) are when the question left and the answer came: a host whose clock lies
    between the two is right, however slow it is. Raises HostError for a line that the question cannot have given.
    """
    facts: dict[str, str] = {}
    os_words: Sequence[str] = ("", "")
    kernel: Kernel | None = None
    restore: tuple[str, str] | None = None
    phases: dict[str, str] = {}
    paths: dict[str, PathFacts] = {}
    owned: dict[str, Owned] = {}
    users: dict[str, frozenset[str]] = {}
    pairs: dict[str, dict[str, str]] = {"package": {}, "pending": {}}
    lists: dict[str, list[str]] = {"blob": [], "missing": [], "exists": [], "held": [], "inside": []}
    certificates: dict[str, bytes] = {}
    shown: list[str] = []
    try:
        for word, *rest in lines:
            match word:
                case "slipway":
                    if rest != ["1"]:
                        raise ValueError("another version of the protocol")
                case "time" | "arch" | "generation" | "staged":
                    (facts[word],) = rest
                case "cordoned" | "underway":
                    facts[word] = "yes"
                case "restore":
                    restore = (rest[0], rest[1])
                case "kernel":
                    kernel = Kernel.of(rest)
                case "os":
                    os_words = (rest[0], rest[1])
                case "phase":
                    phases[rest[0]] = rest[1]
                case "path":
                    path, kind, mode, owner, group, sum_, target, same = rest
                    compared = None if same == "-" or path not in owned else same == "same"
                    paths[path] = PathFacts(kind, mode.zfill(4), owner, group, _text(sum_), _text(target), compared)
                case "own":
                    key, kind, phase, component, id_, restarts, reloads = rest
                    owned[key] = Owned(kind, phase, component, _text(id_), _list(restarts), _list(reloads))
                case "user":
                    users[rest[0]] = frozenset(rest[1].split())
                case "package" | "pending":
                    pairs[word][rest[0]] = rest[1]
                case "blob" | "missing" | "exists" | "held" | "inside":
                    lists[word].append(rest[0])
                case "certificate":
                    certificates[rest[0]] = base64.b64decode(rest[1]) if rest[1] != "-" else b""
                case "show":
                    shown.append("\t".join(rest))
                case _:
                    raise ValueError(f"unknown line {word}")
        if "arch" not in facts or "time" not in facts:
            raise ValueError("the beginning is missing")
        return HostState(
            host=host,
            arch=facts["arch"],
            os_id=_text(os_words[0]),
            os_version=_text(os_words[1]),
            clock_ahead=0.0 if now is None else outside(int(facts["time"]), now if asked is None else asked, now),
            generation=facts.get("generation", ""),
            cordoned="cordoned" in facts,
            phases=phases,
            paths=paths,
            owned=owned,
            units=units_of(shown),
            users=users,
            packages=pairs["package"],
            pending=pairs["pending"],
            staged=facts.get("staged", ""),
            blobs=frozenset(lists["blob"]),
            missing_programs=tuple(lists["missing"]),
            existing=frozenset(lists["exists"]),
            certificates=certificates,
            underway="underway" in facts,
            restore=restore,
            held=frozenset(lists["held"]),
            inside=tuple(lists["inside"]),
            kernel=kernel,
        )
    except (ValueError, IndexError) as error:
        raise HostError(f"{host}: question: the answer is not understood ({error}); look at the host", host) from None


def outside(moment: float, earliest: float, latest: float) -> float:
    """Return by how many seconds a moment lies before (below 0) or after the time between two others, 0 inside."""
    return min(moment - earliest, 0.0) + max(moment - latest, 0.0)


def _text(word: str) -> str:
    return "" if word == "-" else word


def _list(word: str) -> tuple[str, ...]:
    return tuple(_text(word).split(",")) if _text(word) else ()
