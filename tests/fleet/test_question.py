"""What a host is asked for."""

from __future__ import annotations

from pathlib import Path

from fleet.question import PROGRAMS, question
from tests.fleet.small_tree import write_tree


def test_every_host_is_asked_for_the_same_programs(tmp_path: Path) -> None:
    pools = {
        "control": {"roles": ["control-plane", "etcd"], "components": ["idle"], "os": "debian-12", "arch": "amd64"}
    }
    tree = write_tree(tmp_path, hosts={"cp1": {"pool": "control", "address": "10.0.0.1"}}, pools=pools)
    lines = question(tree, tree.hosts["cp1"]).decode().splitlines()
    assert [line.partition("\t")[2] for line in lines if line.startswith("program\t")] == list(PROGRAMS)
