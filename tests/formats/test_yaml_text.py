"""YAML out: what is written quickly is byte for byte what the general emitter writes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generator.formats import yaml_text as module
from generator.formats.yaml_text import is_plain, yaml_line, yaml_text

_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs"])
_TEXTS = (
    st.text(_CHARACTERS, max_size=20)
    | st.text(st.sampled_from(" :-#'\"{}[],&*!|>%@`?\n~.0x1e+_/ay"), max_size=12)
    | st.from_regex(r"[A-Za-z/][A-Za-z0-9_./@+-]{0,8}|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?", fullmatch=True)
    | st.from_regex(r"[0-9a-fe]{16,20} [0-9]{16,18}", fullmatch=True)
    | st.sampled_from(["yes", "No", "null", "~", "y", "N", "1.20", "0o7", "0x1f", "1e3", "12:30", "2026-01-01", "="])
)
_SCALARS = _TEXTS | st.booleans() | st.none() | st.integers() | st.floats(allow_nan=False)
_VALUES = st.recursive(
    _SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_TEXTS, below, max_size=3),
    max_leaves=10,
)


def _general(value: Any, sort: bool) -> str:
    return yaml.dump(
        value, Dumper=module._Dumper, sort_keys=sort, default_flow_style=False, width=10**9, allow_unicode=True
    )


@given(_VALUES, st.booleans())
def test_the_quick_way_writes_what_the_general_emitter_writes(value: Any, sort: bool) -> None:
    assert yaml_text(value, sort=sort) == _general(value, sort)


@given(_TEXTS)
def test_a_plain_text_is_written_as_it_is(text: str) -> None:
    if is_plain(text):
        assert yaml_line([text]) == f"[{text}]"
        assert _general({"key": text}, True) == f"key: {text}\n"


@pytest.mark.parametrize("key", ["k" * 127, "k" * 128, "k" * 200, "", "a b", "- x", "?"])
def test_odd_keys_are_written_by_the_general_emitter_or_like_it(key: str) -> None:
    value = {key: {"below": ["x", {"y": 1}, ["z"], [], {}]}}
    assert yaml_text(value) == _general(value, True)


def test_a_map_of_many_texts_does_not_reach_the_general_emitter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> str:
        raise AssertionError("the general emitter takes a hundred times as long")

    monkeypatch.setattr(yaml, "dump", refused)
    lines = {f"worker-{number}": f"{number:032x} {number:032x}" for number in range(100)}
    assert yaml_text({"data": lines, "kind": "ConfigMap"}).count("\n") == 102


@pytest.mark.parametrize(
    "text",
    ["y", "N", "1e3", "12e03", "1.e-3", "+.5E1", "1_0e3", "08", "0o17", "0O17", "0X1F", "0B1", "a\x85b", "\u2028\n"],
)
def test_a_text_that_other_parsers_take_for_something_else_is_quoted(text: str) -> None:
    for written in (yaml_text({"key": text}), yaml_text({text: 1}), yaml_line([text])):
        assert re.search(r"['\"].*['\"]", written), written
    assert yaml.safe_load(yaml_text({"key": text, text: "x"})) == {"key": text, text: "x"}


@pytest.mark.parametrize("text", ["100m", "1.36.2", "10Gi", "3f2a9c1b7d40-1", "e1", "x", "0o8", "1e3s", "10.0.0.1"])
def test_a_text_that_is_one_to_everybody_has_no_needless_quotes(text: str) -> None:
    assert yaml_text({"key": text}) == f"key: {text}\n"
