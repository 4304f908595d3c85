"""The same inputs give the same bytes, on every machine, in every order, language and time zone."""

from __future__ import annotations

import copy
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.render.tree import Tree
from generator.spec import load_text
from tests.golden.cases import GOLDEN, cluster_tree, tree_of

ROOT = Path(__file__).parents[2]
PRINT_DIGEST = (
    "from tests.golden.cases import cluster_tree; from tests.render.test_determinism import digest; "
    "print(digest(cluster_tree('ha')))"
)


def digest(tree: Tree) -> str:
    total = hashlib.sha256()
    for path, content in tree.items():
        total.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _shuffled(value: Any, chance: random.Random) -> Any:
    """Put every map of a spec into another order; lists keep theirs, since it has a meaning."""
    if isinstance(value, dict):
        items = [(key, _shuffled(below, chance)) for key, below in value.items()]
        chance.shuffle(items)
        return dict(items)
    return value


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.sampled_from(["ha", "minimal"]))
def test_the_order_in_which_people_write_changes_no_byte(chance: random.Random, name: str) -> None:
    spec = yaml.safe_load((GOLDEN / "clusters" / name / "cluster.yaml").read_text())
    shuffled = _shuffled(copy.deepcopy(spec), chance)
    assert tree_of(load_text(yaml.safe_dump(shuffled, sort_keys=False), name=name)) == cluster_tree(name)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0", "HOME": "/"},
    ],
)
def test_hash_seed_locale_and_time_zone_change_no_byte(environment: dict[str, str]) -> None:
    plain = {key: value for key, value in os.environ.items() if key in {"PATH", "VIRTUAL_ENV"}}
    found = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        env={**plain, **environment, "PYTHONPATH": str(ROOT)},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == digest(cluster_tree("ha"))


def test_text_files_end_with_one_line_feed_and_have_no_carriage_return() -> None:
    for name in ("ha", "minimal"):
        for path, content in cluster_tree(name).items():
            assert b"\r" not in content, path
            assert not content or content.endswith(b"\n"), path
            assert content.decode("utf-8") is not None, path
