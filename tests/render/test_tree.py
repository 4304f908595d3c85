"""Writing a tree: as a whole or not at all, and nothing of before stays."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from generator.errors import RenderError
from generator.render import tree as tree_module
from generator.render.tree import changes, put, read_tree, write

ONE = {"inventory.yaml": b"a\n", "hosts/cp1/manifest.yaml": b"b\n", "hosts/cp1/rootfs/etc/x": b""}


def test_a_written_tree_reads_back_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    difference = write(ONE, tmp_path / "rendered" / "prod")
    assert read_tree(tmp_path / "rendered" / "prod") == ONE
    assert difference.lines() == ["+ hosts/cp1/manifest.yaml", "+ hosts/cp1/rootfs/etc/x", "+ inventory.yaml"]
    assert os.listdir(tmp_path / "rendered") == ["prod"]


def test_stale_files_vanish_and_changes_are_reported(tmp_path: Path) -> None:
    folder = tmp_path / "prod"
    write(ONE, folder)
    (folder / "leftover").mkdir()
    (folder / "leftover" / "file").write_text("old")
    two = {"inventory.yaml": b"changed\n", "new": b"n"}
    assert write(two, folder).lines() == [
        "- hosts/cp1/manifest.yaml",
        "- hosts/cp1/rootfs/etc/x",
        "~ inventory.yaml",
        "- leftover/file",
        "+ new",
    ]
    assert read_tree(folder) == two
    assert not (folder / "hosts").exists()


def test_modes_are_plain_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(ONE, tmp_path / "prod")
    finally:
        os.umask(before)
    for path in [tmp_path / "prod", *(tmp_path / "prod").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


@pytest.mark.parametrize("step", ["_fill", "_swap"])
def test_a_failed_write_leaves_the_old_tree_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    folder = tmp_path / "prod"
    write(ONE, folder)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "some/file")

    monkeypatch.setattr(tree_module, step, full)
    with pytest.raises(RenderError, match="No space left on device"):
        write({"other": b""}, folder)
    assert read_tree(folder) == ONE
    assert os.listdir(tmp_path) == ["prod"]


def test_a_swap_that_fails_half_way_puts_the_old_tree_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "prod"
    write(ONE, folder)
    rename = Path.rename

    def once(self: Path, target: Path) -> Path:
        if self.name.startswith(".prod.new-"):
            raise OSError(13, "Permission denied", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(RenderError, match="the old one stands"):
        write({"other": b""}, folder)
    assert read_tree(folder) == ONE


def test_an_unchanged_tree_is_not_touched(tmp_path: Path) -> None:
    write(ONE, tmp_path / "prod")
    before = (tmp_path / "prod").stat().st_ino
    assert not write(ONE, tmp_path / "prod")
    assert (tmp_path / "prod").stat().st_ino == before


def test_a_link_in_place_of_a_file_is_a_difference(tmp_path: Path) -> None:
    write(ONE, tmp_path / "prod")
    (tmp_path / "elsewhere").write_bytes(b"a\n")
    (tmp_path / "prod" / "inventory.yaml").unlink()
    (tmp_path / "prod" / "inventory.yaml").symlink_to(tmp_path / "elsewhere")
    assert changes(tmp_path / "prod", ONE).changed == ("inventory.yaml",)


def test_two_parts_may_not_write_one_path() -> None:
    into = {"bom.yaml": b""}
    with pytest.raises(RenderError, match=r"^bom\.yaml: two parts"):
        put(into, [("bom.yaml", b"")])
