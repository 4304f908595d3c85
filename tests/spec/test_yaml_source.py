import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.errors import SpecError
from generator.spec import yaml_source
from generator.spec.example import full_example
from generator.spec.yaml_source import path_text, read_document


def test_lines_of_keys_and_entries() -> None:
    document, faults = read_document("a:\n  b: 1\n  c:\n  - x\n  - y\n", "f")
    assert not faults
    assert document.data == {"a": {"b": 1, "c": ["x", "y"]}}
    assert [document.line(path) for path in (("a",), ("a", "b"), ("a", "c", 1))] == [1, 2, 5]


def test_line_of_a_missing_key_is_that_of_its_parent() -> None:
    document, _ = read_document("x: 1\na:\n  b: 1\n", "f")
    assert document.line(("a", "q", "r")) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("0644", 420),
        ("0x10", 16),
        ("yes", True),
        ("~", None),
        ("1e3", "1e3"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert read_document(f"a: {text}", "f")[0].data == {"a": value}


def test_keys_are_text() -> None:
    assert read_document("on: 1\n1: 2\n1.20: 3\n", "f")[0].data == {"on": 1, "1": 2, "1.20": 3}


def test_aliases_are_copied() -> None:
    document, faults = read_document("a: &x {b: 1}\nc: *x\n", "f")
    assert not faults
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}


def test_aliases_cannot_blow_up() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 9):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
    with pytest.raises(SpecError, match="half a million"):
        read_document(text, "f")


@pytest.mark.parametrize(
    "content", [b"a: \xff\n", b"a: \x00\n", "[" * 5000, "{" * 3000, "%YAML 9.9\n---\na: 1\n", "a: !!int x"]
)
def test_what_is_no_yaml_is_one_clear_fault(content: bytes | str) -> None:
    try:
        _, faults = read_document(content, "f")
    except SpecError as error:
        faults = list(error.faults)
        assert faults


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_clear_fault(text: str) -> None:
    try:
        read_document(text, "f")
    except SpecError as error:
        assert error.faults


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_clear_fault(content: bytes) -> None:
    try:
        read_document(content, "f")
    except SpecError as error:
        assert error.faults


def test_path_text() -> None:
    assert path_text(("pools", "w", "taints", 0, "key")) == "pools.w.taints[0].key"
    assert path_text(("sysctl", "vm.max")) == 'sysctl."vm.max"'


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 100_000, "- " * 100_000 + "x"])
def test_what_is_nested_deeply_is_a_fault_and_not_the_end_of_the_process(text: str) -> None:
    with pytest.raises(SpecError, match="is nested too deeply"):
        read_document(text, "f")


def test_both_readers_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = full_example("prod") + "\n# ünïcode: {a: 'b''c', d: \"e\\n\", f: >-\n"
    fast = read_document(text, "f")
    assert yaml_source._Fast is not None
    monkeypatch.setattr(yaml_source, "_Fast", None)
    assert read_document(text, "f") == fast
