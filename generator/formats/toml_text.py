"""TOML out: sorted or in the given order, plain tables, one way of writing every value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w


def toml_text(value: Mapping[str, Any], *, sort: bool = True) -> str:
    """Return a mapping as TOML; within a table plain values come first, then tables.

    Tables are sorted by key unless `sort` is False (containerd tries the hosts of a hosts.toml in the order in which
    they stand). Raises TypeError for a value that TOML does not have, such as None.
    """
    return tomli_w.dumps(_in_order(value) if sort else dict(value))


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_in_order(entry) for entry in value]
    return value
