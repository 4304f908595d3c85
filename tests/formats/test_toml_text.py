from __future__ import annotations

import tomllib

import pytest

from generator.formats.toml_text import toml_text


def test_order_of_keys_changes_nothing() -> None:
    one = {"b": {"y": 1, "x": [{"d": 1, "c": 2}]}, "a": True}
    two = {"a": True, "b": {"x": [{"c": 2, "d": 1}], "y": 1}}
    assert toml_text(one) == toml_text(two)
    assert tomllib.loads(toml_text(one)) == one


def test_order_can_be_kept() -> None:
    hosts = {"https://z": {"capabilities": ["pull"]}, "https://a": {"capabilities": ["pull"]}}
    assert list(tomllib.loads(toml_text({"host": hosts}, sort=False))["host"]) == ["https://z", "https://a"]
    assert list(tomllib.loads(toml_text({"host": hosts}))["host"]) == ["https://a", "https://z"]


def test_what_toml_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError):
        toml_text({"a": None})
