"""YAML that jsonnet writes into ConfigMaps: read back as it was, and the same from both implementations."""

from __future__ import annotations

import json
from typing import Any

import _jsonnet
import pytest
import rjsonnet
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.render.objects import ADDONS

# No NUL: it stops the reference implementation, and no file in YAML holds one.
TEXTS = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["true", "No", "null", "1.5", "0x1f", "1e3", "~", "-", "- a", "a: b", "#a", "/srv", "a b", "a\n", " a\n", "a\n\n",
     "a\n\n b\n", "\n", "\ta\n", "{", "'", '"', "$(A)", "2026-11-22", "1:30", "<<", "=", "é\n", "a\x07\n", "."]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def written(implementation: Any, value: Any) -> str:
    """Return the value as the library writes it; a float would be another question, and there is none."""
    snippet = "function(value) (import 'lib/yaml.libsonnet')(value)"
    argument = {"value": json.dumps(value)}
    found: str = json.loads(
        implementation.evaluate_snippet("yaml", snippet, tla_codes=argument, jpathdir=[str(ADDONS)])
    )
    return found


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert yaml.safe_load(written(rjsonnet, {"of": value})) == {"of": value}


@settings(max_examples=20, deadline=None)
@given(st.lists(VALUES, min_size=5, max_size=10))
def test_both_implementations_write_the_same(values: list[Any]) -> None:
    assert written(_jsonnet, values) == written(rjsonnet, values)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": [{"c": 1, "d": []}], "a": {}}, "a: {}\nb:\n- c: 1\n  d: []\n"),
        ({"script": "one {\n  two\n\n}\n"}, "script: |\n  one {\n    two\n\n  }\n"),
        (["plain/path", "4Gi", "yes", "two words"], '- plain/path\n- "4Gi"\n- "yes"\n- "two words"\n'),
    ],
)
def test_it_is_written_for_people(value: Any, text: str) -> None:
    assert written(rjsonnet, value) == text
