"""What jsonnet says when it fails, in one line: what is wrong, where, and for a knob that is not known the nearest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from generator.spec.structure import suggestion

SNIPPET = "addons"
"""What the snippet is called that adds both files; no place in it says anything to people."""

_UNKNOWN = re.compile(r"addons\.(?P<path>\S+) is no (?P<kind>knob|addon); known are: (?P<known>.*)")
_QUOTED = re.compile(r"'([^']+)'")
_NO_FIELD = re.compile(r"(?:no such field|field does not exist): (\w+)")
_MERGING = ("addons/lib/knobs.libsonnet:", "addons/main.jsonnet:")
_PLACE = re.compile(r"^(?P<file>\S.*?):(?P<line>[0-9]+):(?P<column>[0-9]+)(?:-\S+)?(?::|$)")


def jsonnet_message(cluster: str, text: str, roots: Sequence[Path]) -> str:
    """Return the message for a text of jsonnet's, in which places are relative to the first of `roots` they are in.

    The workspace is the last of `roots`. A fault of a knob is placed where the cluster's own addons.jsonnet has its
    key; any other at the innermost place in the cluster's own files, where there is one, else at the innermost of all.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    what = lines[0].removeprefix("runtime error: ").removeprefix("RUNTIME ERROR: ")
    for root in roots:
        what = what.replace(f"{root.resolve()}/", "")
    own = f"clusters/{cluster}/"
    file = roots[-1] / own / "addons.jsonnet"
    # What merges the knobs is no place of anybody's fault.
    places = [place for line in lines if (place := _place(line, roots)) and not place.startswith(_MERGING)]
    innermost = next((place for place in places if place.startswith(own)), places[0] if places else "")
    if what.startswith("addons: "):
        fault, _, todo = what.removeprefix("addons: ").partition("; ")
        quoted = _QUOTED.search(fault)
        where = _search(file, re.escape(quoted[1])) if quoted else own + file.name
        return f"{cluster}: addons: {fault}{_at(where or innermost)}; {todo or 'correct addons.jsonnet'}"
    if what.startswith("addons."):
        knob, _, rest = what.partition(" ")
        key = re.escape(knob.rpartition(".")[2].partition("[")[0])
        at = _at(_search(file, rf"(?<![\w.$])(?:{key}|'{key}'|\"{key}\")\s*\+?:{{1,3}}") or innermost)
        unknown = _UNKNOWN.fullmatch(what)
        if unknown is not None:
            todo = suggestion(knob.rpartition(".")[2], unknown["known"].split(", "), f"known are: {unknown['known']}")
            kind = "knob of this addon" if unknown["kind"] == "knob" else "addon"
            return f"{cluster}: {knob}: is no {kind}{at}; {todo}"
        fault, _, todo = rest.partition("; ")
        return f"{cluster}: {knob}: {fault}{at}; {todo or 'correct it in cluster.yaml or addons.jsonnet'}"
    field = _NO_FIELD.match(what)
    if field is not None and not innermost.startswith(own):
        innermost = _search(file, rf"\b{field[1]}\b") or innermost
    if what.startswith("syntax error") and what.endswith('got "EOF"'):
        what = f"{what}, the end of the file"
    where = innermost or (own + file.name if file.is_file() else "")
    return f"{cluster}: addons: jsonnet does not evaluate: {what}{_at(where)}; correct addons.jsonnet"


def _at(where: str) -> str:
    return f" (at {where})" if where else ""


def _search(file: Path, pattern: str) -> str:
    """Return where a pattern stands in the cluster's own file: with line and column where it stands there once."""
    if not file.is_file():
        return ""
    where = f"clusters/{file.parent.name}/{file.name}"
    found = [
        (number, one.start() + 1)
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        if not line.lstrip().startswith(("//", "#"))
        for one in re.finditer(pattern, line)
    ]
    return f"{where}:{found[0][0]}:{found[0][1]}" if len(found) == 1 else where


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
