"""One thing that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["finding", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong and what to do about it. `host` is "" for the cluster as a whole.

    `text` is equal on all hosts with the same fault, so that they can be shown together; `detail` may differ. `kind` is
    one word for programs. A finding makes the exit code 2, a warning does not.
    """

    kind: str
    text: str
    host: str = ""
    detail: str = ""
    severity: Severity = "finding"
