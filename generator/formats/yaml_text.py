"""YAML out: sorted or given order, block style, LF, no alias; texts are quoted that would read as another type."""

from __future__ import annotations

from typing import Any

import yaml

_WIDTH = 10**9
"""Wide enough that YAML never folds a line: a fold would make a diff larger than the change."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(value: Any, *, sort: bool = True) -> str:
    """Return a value as YAML text; mappings are sorted unless `sort` is False."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=sort, default_flow_style=False, width=_WIDTH, allow_unicode=True)


def yaml_line(value: Any) -> str:
    """Return a value as one line of flow-style YAML without a line end."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=_WIDTH, allow_unicode=True)
    return text.strip().removesuffix("\n...")
