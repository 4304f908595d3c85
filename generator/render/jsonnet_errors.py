"""What jsonnet says when it fails, in one line: what is wrong, where, and for a knob that is not known the nearest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from generator.spec.structure import suggestion

SNIPPET = "addons"
"""What the snippet is called that adds both files; no place in it says anything to people."""

_UNKNOWN = re.compile(r"addons\.(?P<path>\S+) is no (?P<kind>knob|addon); known are: (?P<known>.*)")
_PLACE = re.compile(r"^(?P<file>\S.*?):(?P<line>[0-9]+):(?P<column>[0-9]+)(?:-\S+)?(?::|$)")


def jsonnet_message(cluster: str, text: str, roots: Sequence[Path]) -> str:
    """Return the message for a text of jsonnet's, in which places are relative to the first of `roots` they are in.

    The place is the innermost one in the cluster's own addons.jsonnet, where there is one, else the innermost of all.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    what = lines[0].removeprefix("runtime error: ").removeprefix("RUNTIME ERROR: ")
    for root in roots:
        what = what.replace(f"{root.resolve()}/", "")
    own = f"clusters/{cluster}/"
    places = [place for line in lines if (place := _place(line, roots))]
    where = next((place for place in places if place.startswith(own)), places[0] if places else "")
    at = f" (at {where})" if where else ""
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is not None:
        knob = unknown["path"]
        todo = suggestion(knob.rpartition(".")[2], unknown["known"].split(", "), f"known are: {unknown['known']}")
        kind = "knob of this addon" if unknown["kind"] == "knob" else "addon"
        return f"{cluster}: addons.{knob}: is no {kind}{at}; {todo}"
    if what.startswith("addons."):
        knob, _, rest = what.partition(" ")
        fault, _, todo = rest.partition("; ")
        return f"{cluster}: {knob}: {fault}{at}; {todo or 'correct it in cluster.yaml or addons.jsonnet'}"
    if what.startswith("syntax error") and what.endswith('got "EOF"'):
        what = f"{what}, the end of the file"
    return f"{cluster}: addons: jsonnet does not evaluate: {what}{at}; correct addons.jsonnet"


def _place(line: str, roots: Sequence[Path]) -> str:
    found = _PLACE.match(line)
    if found is None:
        return ""
    file = Path(found["file"])
    for root in roots:
        if file.is_absolute() and file.is_relative_to(root.resolve()):
            file = file.relative_to(root.resolve())
    if file.as_posix() == SNIPPET:
        return ""
    return f"{file.as_posix()}:{found['line']}:{found['column']}"
