"""Flow-style YAML on one line, fast: what inventory.yaml and the manifests are made of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from generator.formats.yaml_text import block_scalar, is_plain, yaml_line

__all__ = ["block_scalar", "flow", "scalar"]


def flow(value: Any) -> str:
    """Return a value as flow-style YAML on one line; maps keep their order."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return scalar(value)


@lru_cache(maxsize=65536, typed=True)
def scalar(value: Any) -> str:
    """Return one scalar as YAML text that reads back as the same value and type."""
    if isinstance(value, str) and is_plain(value):
        return value
    return yaml_line([value])[1:-1]
