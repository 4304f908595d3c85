"""A YAML file as plain values that remember their lines, read strictly.

Keys are always text as written. Duplicate keys, several documents, merge keys, tags and aliases that hold themselves
are faults. Values keep YAML's types, but dates, base-60 numbers and the like stay text, and where a schema wants text
the text that stands in the file can be asked for (`Document.raw`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.resolver import Resolver

from generator.errors import Fault, SpecError

Path = tuple[str | int, ...]

_Fast: Any = None
if yaml.__with_libyaml__:
    _TOKENS: Any = vars(yaml.cyaml)["CParser"]

    class _FastLoader(Composer, _TOKENS, Resolver):  # type: ignore[misc]
        """Tokens by libyaml, nodes by Python: PyYAML's own pairing of the two dies on a text that is nested deeply."""

        def __init__(self, stream: str) -> None:
            _TOKENS.__init__(self, stream)
            Composer.__init__(self)
            Resolver.__init__(self)

        def dispose(self) -> None:
            """Do nothing: there is no state to let go."""

    _Fast = _FastLoader

_MAX_VALUES = 500_000
_YAML = "tag:yaml.org,2002:"


def path_text(path: Path) -> str:
    """Return a path as people write it: hosts.cp1.labels, pools.workers.taints[0].key."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part and all(char.isalnum() or char in "-_/:[]" for char in part) else f'"{part}"'
            text += f".{shown}" if text else shown
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value; `lines` maps a path to the line of its key or list entry, `raw` that of a scalar to its text."""

    file: str
    data: Any
    lines: Mapping[Path, int]
    raw: Mapping[Path, str]

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing above it that stands in the file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def fault(self, path: Path, what: str, todo: str) -> Fault:
        """Return a fault at a path of this file."""
        return Fault(self.file, self.line(path), path_text(path), what, todo)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a file describes, as messages say it: `noun`, how to begin one, and what to do in place of a merge key."""

    noun: str = "cluster"
    begin: str = "make one with `invoke new`"
    instead_of_merging: str = "write the keys out, or use a pool, which its hosts share"


@dataclass(slots=True)
class _Reading:
    file: str
    subject: Subject = Subject()
    lines: dict[Path, int] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    values: int = 0

    def fault(self, node: yaml.Node, path: Path, what: str, todo: str) -> None:
        self.faults.append(Fault(self.file, node.start_mark.line + 1, path_text(path), what, todo))


def _nodes(text: str) -> list[yaml.Node]:
    """Return the documents of a text; raises yaml.YAMLError, ValueError or RecursionError.

    libyaml reads five times as fast. What it does not take is read again by the reader in Python, whose messages name
    the fault better. A tab between words, which only libyaml takes, is left to that one too.
    """
    if _Fast is not None and "\t" not in text:
        try:
            return list(yaml.compose_all(text, Loader=_Fast))
        except (yaml.YAMLError, ValueError):
            pass
    return list(yaml.compose_all(text, Loader=yaml.SafeLoader))


def read_document(content: bytes | str, file: str, subject: Subject = Subject()) -> tuple[Document, list[Fault]]:
    """Return the value of a YAML file and the faults in how it is written; `file` is its name in messages.

    Raises SpecError where no value can be read at all.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if isinstance(content, bytes) else 1
        raise SpecError([Fault(file, line, "", "is not UTF-8 text", "save the file as UTF-8")]) from None
    try:
        nodes = _nodes(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark is not None else 1
        raise SpecError(
            [Fault(file, line, "", f"is not YAML: {what}", "correct the line, or the one above it")]
        ) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1 if isinstance(error.position, int) else 1
        what = (
            f"holds the control character U+{error.character:04X}"
            if isinstance(error.character, int)
            else "is not text"
        )
        raise SpecError([Fault(file, line, "", what, "take it out")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError([Fault(file, 1, "", f"is not YAML: {error}", "correct the file")]) from None
    except RecursionError:
        raise SpecError([Fault(file, 1, "", "is nested too deeply", "write it flatter")]) from None
    if not nodes or nodes[0] is None:
        raise SpecError([Fault(file, 1, "", "is empty", f"write a {subject.noun}, or {subject.begin}")])
    if len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        raise SpecError([Fault(file, line, "", "holds a second document", f"keep one {subject.noun} in one file")])
    reading = _Reading(file, subject)
    try:
        data = _value(reading, nodes[0], (), ())
    except RecursionError:
        raise SpecError([Fault(file, 1, "", "is nested too deeply", "write it flatter")]) from None
    return Document(file, data, reading.lines, reading.raw), reading.faults


def _value(reading: _Reading, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
    reading.values += 1
    if reading.values > _MAX_VALUES:
        raise SpecError(
            [
                Fault(
                    reading.file,
                    node.start_mark.line + 1,
                    "",
                    "grows beyond half a million values",
                    "use fewer aliases",
                )
            ]
        )
    if id(node) in above:
        reading.fault(node, path, "is an alias that holds itself", "write the value out")
        return None
    reading.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(reading, node, path, (*above, id(node)))
    if isinstance(node, yaml.SequenceNode):
        return [_value(reading, item, (*path, index), (*above, id(node))) for index, item in enumerate(node.value)]
    reading.raw[path] = str(node.value)
    return _scalar(reading, node, path)


def _mapping(reading: _Reading, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            reading.fault(key_node, path, "has a key that is not text", "write a plain name before the colon")
            continue
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key_node.tag == f"{_YAML}merge":
            reading.fault(key_node, path, "uses the merge key <<", reading.subject.instead_of_merging)
        elif key in found:
            reading.fault(
                key_node, (*path, key), f"is written twice, first on line {first[key]}", "keep one of the two"
            )
        else:
            first[key] = line
            reading.lines[(*path, key)] = line
            found[key] = _value(reading, value_node, (*path, key), above)
    return found


def _scalar(reading: _Reading, node: yaml.Node, path: Path) -> Any:
    text = str(node.value)
    kind = node.tag.removeprefix(_YAML)
    try:
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() in {"yes", "true", "on"}
            case "int" if ":" not in text:
                return int(text.replace("_", ""), 8) if _is_octal(text) else int(text.replace("_", ""), 0)
            case "float" if ":" not in text:
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))
            case "str" | "int" | "float" | "timestamp" | "value":
                return text
    except ValueError:
        return text
    reading.fault(node, path, f"has the tag {node.tag.replace(_YAML, '!!')}", "take the tag out")
    return text


def _is_octal(text: str) -> bool:
    digits = text.lstrip("+-").replace("_", "")
    return len(digits) > 1 and digits.isdigit() and digits.startswith("0")
