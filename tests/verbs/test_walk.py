"""docs/ci/walk.md is true: what a reader types is typed, and answers what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ci.helm import program, surroundings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ci" / "walk.md"
LEFT_OUT = "…"


@dataclass(frozen=True)
class Step:
    """What is typed, and what it answers; a file that is to be written is typed as a here-document."""

    typed: str
    answer: str


def steps(page: str) -> Iterator[Step]:
    """Yield what a page has its reader do, in order: blocks after a path and a colon are files, lines after $ typed."""
    for before, block in blocks(page):
        file = re.search(r"`([^` ]+/[^` ]+)`:\n*$", before)
        if file is not None:
            yield Step(f"cat > {file[1]} <<'END'\n{block}END", "")
        elif block.startswith("$ "):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                typed, _, answer = part.partition("\n")
                yield Step(typed, answer)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield each indented block of a page with the text before it; blank lines within belong to it."""
    before, block = "", ""
    for line in [*page.splitlines(), "end"]:
        if line.startswith("    "):
            block += f"{line[4:]}\n"
        elif not line and block:
            block += "\n"
        else:
            if block:
                yield before, f"{block.rstrip()}\n"
                before, block = "", ""
            before += f"{line}\n"


def shape(answer: str) -> re.Pattern[str]:
    """Return what matches an answer: a line of … is any number of lines, within a line … is anything."""
    lines = (
        r"(?:.*\n)*?" if line == LEFT_OUT else ".*".join(re.escape(part) for part in line.split(LEFT_OUT)) + r"\n"
        for line in answer.splitlines()
    )
    return re.compile("".join(lines))


def go() -> Path | None:
    found = shutil.which("go")
    return Path(found) if found else next(iter(sorted(Path("/usr/lib").glob("go-*/bin/go"), reverse=True)), None)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def typed_here(typed: str, port: int, with_go: bool) -> str:
    """Return what is typed with what cannot be as on the page: a port that is free, and no Go where there is none."""
    if typed.startswith(("(cd hello && ", "file ", "./hello")) and not with_go:
        return ":"
    if "main.go" in typed or "curl" in typed:
        return typed.replace("8080", str(port))
    return ":" if typed.startswith("source ") else typed


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone has, as far as the walk comes to it."""
    folder = tmp_path / "clone"
    (folder / "clusters").mkdir(parents=True)
    shutil.copytree(ROOT / "clusters" / "prod", folder / "clusters" / "prod")
    shutil.copy(ROOT / "tasks.py", folder)
    (folder / "addons").symlink_to(ROOT / "addons")
    return folder


def test_the_walk_answers_what_it_shows(clone: Path) -> None:
    helm = program()
    if helm is None:
        pytest.skip("helm is not installed, and the one of `make setup` is for Linux on x86-64")
    compiler = go()
    tools = compiler is not None and shutil.which("file") is not None and shutil.which("curl") is not None
    port, every = free_port(), list(steps(PAGE.read_text(encoding="utf-8")))
    script = "".join(
        f"printf '\\n@@@\\n'\n{typed_here(step.typed, port, tools)}\n" for step in every
    )  # fmt: skip
    kept = {name: value for name, value in surroundings().items() if not name.startswith("SLIPWAY_")}
    programs = [str(Path(sys.executable).parent), str(helm.parent), *([str(compiler.parent)] if compiler else [])]
    environment = {
        **kept, "HOME": str(clone.parent), "PYTHONPATH": str(ROOT), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local",
        "GOCACHE": os.environ.get("GOCACHE") or str(Path.home() / ".cache" / "go-build"),
        "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
    }  # fmt: skip
    done = subprocess.run(
        ["bash"], input=script, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=900,
    )  # fmt: skip
    answers = done.stdout.split("\n@@@\n")[1:]
    assert len(answers) == len(every), done.stdout
    for step, answer in zip(every, answers, strict=True):
        if typed_here(step.typed, port, tools) != ":":
            assert shape(step.answer).fullmatch(answer), f"$ {step.typed}\n{answer}\nis not\n{step.answer}"


def test_the_walk_is_read_as_it_is_meant() -> None:
    every = list(steps(PAGE.read_text(encoding="utf-8")))
    assert sum(step.typed.startswith("cat > hello/") for step in every) == 3
    assert {step.typed.split()[1] for step in every if step.typed.startswith("invoke ")} == {
        "new", "ci.new", "ci.validate", "ci.dockerfile", "ci.values", "ci.stages", "ci.scan", "ci.jobs", "ci.trigger",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "answer", "fits"),
    [
        ("a\n", "a\n", True), ("a\n", "b\n", False), ("a\n", "a\nb\n", False), ("a … c\n", "a b c\n", True),
        ("…\na\n", "x\ny\na\n", True), ("…\na\n", "a\n", True), ("a\n…\n", "a\nb\n", True), ("", "a\n", False),
        ("a … c\n", "a b\nc\n", False), ("a.c\n", "abc\n", False),
    ],
)  # fmt: skip
def test_what_is_left_out_may_be_anything_and_the_rest_may_not(shown: str, answer: str, fits: bool) -> None:
    assert (shape(shown).fullmatch(answer) is not None) == fits
