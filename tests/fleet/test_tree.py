"""The rendered tree as fleet reads it: layers, digests, and what render would never have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.push import host_manifest
from fleet.tree import RenderedTree, load
from generator.errors import StaleTreeError
from tests.fleet.small_tree import CONTENTS, ITEMS, write_manifest, write_tree

HOSTS = {"n1": {"pool": "workers", "address": "10.0.0.1"}, "n2": {"pool": "workers", "address": "10.0.0.2"}}
CONF = "/etc/idle/idle.conf"


def tree_of(folder: Path, **more: Any) -> RenderedTree:
    return write_tree(folder, hosts=HOSTS, **more)


def test_pool_shadows_shared_and_host_shadows_pool(tmp_path: Path) -> None:
    tree_of(tmp_path)
    item = next(item for item in ITEMS if item.get("path") == CONF)
    rendered = tmp_path / "rendered" / "demo"
    write_manifest(rendered / "components/idle@workers", [item], {CONF: "pool\n"}, "idle", ["user:idler"])
    write_manifest(rendered / "hosts/n2", [{**item, "component": "idle"}], {CONF: "own\n"}, "", ["/usr/local/bin/idle"])
    tree = load(rendered)
    assert tree.hosts["n1"].by_key[CONF].content == b"pool\n"
    assert tree.hosts["n2"].by_key[CONF].content == b"own\n"
    assert "user:idler" not in tree.hosts["n1"].by_key
    assert "/usr/local/bin/idle" in tree.hosts["n1"].by_key and "/usr/local/bin/idle" not in tree.hosts["n2"].by_key


def test_a_generation_is_named_by_what_is_to_be_there(tmp_path: Path) -> None:
    base = tree_of(tmp_path / "a").hosts["n1"]
    assert tree_of(tmp_path / "b").hosts["n1"].digest == base.digest
    seen = {base.digest}
    for number, change in enumerate(({"mode": "0600"}, {"owner": "idler"}, {"group": "idler"})):
        items = [{**item, **change} if item.get("path") == CONF else item for item in ITEMS]
        seen.add(tree_of(tmp_path / f"c{number}", items=items).hosts["n1"].digest)
    seen.add(tree_of(tmp_path / "d", contents={**CONTENTS, CONF: "level: 2\n"}).hosts["n1"].digest)
    assert len(seen) == 5
    moved = [{**item, "restarts": []} if item.get("path") == CONF else item for item in ITEMS]
    assert tree_of(tmp_path / "e", items=moved).hosts["n1"].digest == base.digest, "not by what is done with it"


def test_a_secret_counts_by_its_id(tmp_path: Path) -> None:
    def digest(folder: str, name: str, id_: str) -> str:
        key = {"path": "/etc/idle/key", "kind": "secret", "secret": name, "id": id_, "mode": "0400", "phase": "runtime"}
        return tree_of(tmp_path / folder, items=[*ITEMS, key]).hosts["n1"].digest

    assert digest("a", "pki/x", "0123456789abcdef") != digest("b", "pki/x", "fedcba9876543210")
    assert digest("c", "pki/x", "0123456789abcdef") == digest("d", "pki/x", "0123456789abcdef")


def test_a_host_manifest_has_twelve_words_a_line(tmp_path: Path) -> None:
    text = host_manifest(tree_of(tmp_path).hosts["n1"]).decode()
    assert text.endswith("\n") and {len(line.split("\t")) for line in text.splitlines()} == {12}
    assert [line.split("\t")[0] for line in text.splitlines()] == [
        "user", "directory", "file", "file", "link", "binary", "unit",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "/etc/../etc/passwd"}, "no clean absolute path"),
        ({"path": "etc/idle.conf"}, "no clean absolute path"),
        ({"path": "/etc/a\tb"}, "no clean absolute path"),
        ({"path": "/etc/a\nb"}, "no clean absolute path"),
        ({"mode": "644"}, "not four octal digits"),
        ({"owner": "root\troot"}, "control characters in owner"),
        ({"restarts": ["idle.service; reboot"]}, "are no names"),
        ({"kind": "device"}, "no item of a known kind"),
        ({"colour": "red"}, "unknown keys colour"),
        ({"phase": ""}, "phase or component is missing"),
        ({"phase": "party"}, "of phase party, which phases.yaml has not"),
        ({"secrets": {"a/b": "0123"}}, "its slots and its list of secrets differ"),
        ({"path": "/etc/idle/gone.conf"}, "its content beside the manifest cannot be read"),
    ],
)
def test_what_render_would_not_have_written_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    items = [{**item, **change} if item.get("path") == CONF else item for item in ITEMS]
    with pytest.raises(StaleTreeError, match=message) as caught:
        tree_of(tmp_path, items=items)
    assert "run `invoke render`" in str(caught.value)


def test_no_tree_and_a_broken_one_name_the_verb(tmp_path: Path) -> None:
    with pytest.raises(StaleTreeError, match="run `invoke render`"):
        load(tmp_path / "rendered" / "demo")
    tree_of(tmp_path)
    (tmp_path / "rendered/demo/phases.yaml").write_text("phases: [{name: a, batch: some}]\n")
    with pytest.raises(StaleTreeError, match="run `invoke render`"):
        load(tmp_path / "rendered" / "demo")
    (tmp_path / "rendered/demo/inventory.yaml").write_text("{")
    with pytest.raises(StaleTreeError, match="run `invoke render`"):
        load(tmp_path / "rendered" / "demo")
