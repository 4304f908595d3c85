"""Flow-style YAML on one line, fast: what inventory.yaml and the manifests are made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from generator.formats.yaml_text import yaml_line, yaml_text

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?")
"""Names, paths and IPv4 addresses or ranges; with three dots no number, date or time of YAML is meant."""
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def flow(value: Any) -> str:
    """Return a value as flow-style YAML on one line; maps keep their order."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return scalar(value)


@lru_cache(maxsize=65536, typed=True)
def block_scalar(value: str) -> str:
    """Return a text of one line as a scalar of block style, which needs fewer quotes than flow style."""
    return yaml_text(value).removesuffix("...\n").rstrip("\n")


@lru_cache(maxsize=65536, typed=True)
def scalar(value: Any) -> str:
    """Return one scalar as YAML text that reads back as the same value and type."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return yaml_line([value])[1:-1]
