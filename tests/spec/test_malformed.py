"""Ten thousand malformed specs: each gives clean faults or loads, and what loads also renders; never a traceback.

The full example with every option taken is damaged as files are damaged in life: a value swapped for another, a key
mistyped, lost or put elsewhere; and, below YAML, lines lost, doubled, moved, indented anew, characters mistyped, a file
cut short.
"""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from generator.artifacts_lock import read_lock
from generator.errors import SlipwayError, SpecError
from generator.pki.request_material import RequestMaterial
from generator.render import render
from generator.spec import load_text
from generator.spec.example import full_example
from tests.golden.cases import GOLDEN

PARTS, EXAMPLES = 10, 1000
BESIDE = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
"""What every file beside the spec holds: it does for a policy, a certificate and a key."""
FULL: dict[str, Any] = yaml.safe_load(re.sub(r"(?m)^( *)#- ", r"\1", full_example("prod")))
# The pool's disk and the host's are one and the same in the example, which shows both places.
del FULL["hosts"]["cp1"]["disks"]
PLAIN: dict[str, Any] = yaml.safe_load(full_example("prod"))
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1.2, 70000, 10**20, float("inf"), float("nan"), "", " ", [], {}, [[]], {"a": {"b": "c"}},
    "10.0.0.0/8", "10.0.0.256", "10.0.0.1", "fd00::/129", "fd00::1", "::", "a[1:3]", "a[3:1]", "a[1:999999999]",
    "10.0.0.[1:3]", "/", "../../etc/passwd", "/etc/passwd", "ünïcode", "{{secret:encryption/1}}", "$(reboot)", "a\nb",
    "a" * 300, "\t", "%s", "100%", "0s", "-1h", "1.20.2", "1.99.0", "none", "etcd", ["etcd", "etcd"], [None], {"": ""},
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container with each of its keys or indexes."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in inner] + [place for _, one in inner for place in places(one)]


def revalued(spec: Any, rng: random.Random) -> None:
    where, key = rng.choice(places(spec))
    where[key] = copy.deepcopy(rng.choice(VALUES))


def lost(spec: Any, rng: random.Random) -> None:
    where, key = rng.choice(places(spec))
    del where[key]


def renamed(spec: Any, rng: random.Random) -> None:
    where, key = rng.choice([place for place in places(spec) if isinstance(place[0], dict)])
    at = rng.randrange(len(str(key)) + 1)
    where[str(key)[:at] + rng.choice("xE-_.[1") + str(key)[at + 1 :]] = where.pop(key)


def elsewhere(spec: Any, rng: random.Random) -> None:
    (here, key), (there, other) = rng.choice(places(spec)), rng.choice(places(spec))
    there[other] = copy.deepcopy(here[key])


def damaged(rng: random.Random) -> str:
    """Return a spec with one to three damages; mostly one, since the first fault hides others."""
    spec = copy.deepcopy(rng.choice((FULL, FULL, PLAIN)))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice((revalued, revalued, revalued, lost, renamed, elsewhere))(spec, rng)
    text = yaml.dump(spec, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return scrawled(text, rng) if rng.random() < 0.2 else text


def scrawled(text: str, rng: random.Random) -> str:
    """Return a text damaged below YAML."""
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(rng.randrange(len(lines)), lines[at])
        case 2:
            lines[at] = " " * rng.randrange(9) + lines[at].lstrip()
        case 3:
            del lines[at + 1 :]
        case _:
            place = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + rng.choice("x:-[]{}#&*!|>'\"%@`,\0\t\x85 é0") + lines[at][place + 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_spec_is_a_clean_error_or_renders(part: int) -> None:
    seen = {"refused": 0, "loaded": 0}

    @seed(part)
    @given(st.randoms(use_true_random=True))
    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    def each(rng: random.Random) -> None:
        text = damaged(rng)
        try:
            cluster = load_text(text, name="prod", read_file=lambda _: BESIDE)
        except SpecError as error:
            seen["refused"] += 1
            assert error.faults
            for fault in error.faults:
                assert fault.file and fault.what and fault.todo
            assert "Traceback" not in str(error) and "object at 0x" not in str(error)
            return
        seen["loaded"] += 1
        if seen["loaded"] % 4 == 0:
            try:
                render(cluster, RequestMaterial(cluster), read_lock(GOLDEN), GOLDEN)
            except SlipwayError as error:
                assert "; " in str(error), f"says nothing of what to do: {error}"

    each()
    assert seen["refused"] > EXAMPLES // 4
    assert seen["loaded"] > EXAMPLES // 50
