"""YAML out: sorted or given order, block style, LF, no alias; texts are quoted that would read as another type."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import yaml

_PLAIN = re.compile(
    r"[A-Za-z/][A-Za-z0-9_./@+-]*|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?|[0-9a-f]{16,} [0-9a-f]{16,}"
)
"""Names and paths, IPv4 addresses and ranges, two long hex words: YAML reads none of them as a number, date or time."""

_OTHERWISE_READ = re.compile(
    r"[yYnN]|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)"
)
"""What is text to PyYAML and a number or a truth value to the parser of kubectl and helm, underscores aside.

https://github.com/kubernetes-sigs/yaml/blob/master/goyaml.v2/resolve.go
"""

_BREAKS = frozenset("\x85\u2028\u2029")
"""Line ends that a parser may fold to a blank anywhere but between double quotes."""

_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_LONGEST_KEY = 100
"""Beyond some more characters, and for an empty one, YAML writes a key in a form of its own."""

_WIDTH = 10**9
"""Wide enough that YAML never folds a line: a fold would make a diff larger than the change."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if not _BREAKS.isdisjoint(value):
        style: str | None = '"'
    elif "\n" in value:
        style = "|"
    else:
        style = "'" if _OTHERWISE_READ.fullmatch(value.replace("_", "")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(value: Any, *, sort: bool = True) -> str:
    """Return a value as YAML text; mappings are sorted unless `sort` is False."""
    lines = _block(value, sort) if isinstance(value, dict) and value else None
    if lines is not None:
        return "\n".join(lines) + "\n"
    return yaml.dump(value, Dumper=_Dumper, sort_keys=sort, default_flow_style=False, width=_WIDTH, allow_unicode=True)


def yaml_line(value: Any) -> str:
    """Return a value as one line of flow-style YAML without a line end."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=_WIDTH, allow_unicode=True)
    return text.strip().removesuffix("\n...")


def is_plain(text: str) -> bool:
    """Return whether a text is certainly written without quotes, in block and in flow style; False decides nothing."""
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS


@lru_cache(maxsize=65536, typed=True)
def block_scalar(value: Any) -> str:
    """Return a scalar without line breaks as block style writes it, which needs fewer quotes than flow style."""
    if isinstance(value, str) and is_plain(value):
        return value
    text = yaml.dump(value, Dumper=_Dumper, width=_WIDTH, allow_unicode=True)
    return text.removesuffix("...\n").rstrip("\n")


def _block(value: Any, sort: bool) -> list[str] | None:
    """Return the lines of a map or list as the general emitter writes them, None where only that one can.

    It takes a hundred times as long, which with a line for each of a thousand nodes is most of a render.
    """
    lines: list[str] = []
    if type(value) is dict:
        for key in value:
            if type(key) is not str or not key or not key.isprintable() or len(key) > _LONGEST_KEY:
                return None
        for key, below in sorted(value.items(), key=lambda pair: pair[0]) if sort else value.items():
            if type(below) in _COLLECTIONS and below:
                inner = _block(below, sort)
                if inner is None:
                    return None
                lines.append(f"{block_scalar(key)}:")
                lines.extend((f"  {line}" for line in inner) if type(below) is dict else inner)
            else:
                text = _leaf(below)
                if text is None:
                    return None
                lines.append(f"{block_scalar(key)}: {text}")
        return lines
    for below in value:
        inner = _block(below, sort) if type(below) in _COLLECTIONS and below else [_leaf(below) or ""]
        if inner is None or inner == [""]:
            return None
        lines.extend(f"{'  ' if number else '- '}{line}" for number, line in enumerate(inner))
    return lines


def _leaf(value: Any) -> str | None:
    if type(value) in _COLLECTIONS:
        return "{}" if type(value) is dict else "[]"
    if type(value) not in _SCALARS or (type(value) is str and not value.isprintable()):
        return None
    return block_scalar(value)


_COLLECTIONS = (dict, list, tuple)
_SCALARS = (str, int, float, bool, type(None))
