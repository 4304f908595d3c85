"""What a run notes of git: the commit, whether all is committed, and that asking leaves the repository as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fleet.commit import Commit, commit_of


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    command = ["git", *identity, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_asking_git_writes_nothing_and_so_a_kill_leaves_no_lock(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == Commit("no git", False)
    git(tmp_path, "init", "-q")
    spec = tmp_path / "cluster.yaml"
    spec.write_text("kind: Cluster\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    # As after a checkout or a copy: the same content, which git reads anew and would then note in its index.
    os.utime(spec, (1_000_000_000, 1_000_000_000))
    index = tmp_path / ".git/index"
    before = index.read_bytes()
    assert commit_of(tmp_path) == Commit(head, True)
    assert index.read_bytes() == before
    spec.write_text("kind: Other\n")
    assert commit_of(tmp_path) == Commit(head, False)
