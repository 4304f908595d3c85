"""Scripts of two runs on one host: one works, the others wait; nothing that a dead one leaves holds anybody up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fleet.host_scripts import script_argv, script_text
from fleet.push import staged_stream
from fleet.runs import apply_run, push_run
from fleet.secrets import SecretStore
from tests.fleet.local_host import LocalHost, as_root
from tests.fleet.place import Place

pytestmark = as_root
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started(host: LocalHost, name: str, words: list[str], stdin: bytes = b"") -> subprocess.Popen[bytes]:
    """Start a script of fleet on a host and give it all its input."""
    environment = {
        **os.environ, "PATH": f"{host.fake / 'bin'}:{os.environ['PATH']}", "FAKE": str(host.fake),
        "FAKE_ROOT": str(host.root),
    }  # fmt: skip
    process = subprocess.Popen(
        ["dash", *script_argv(name, words, str(host.root))[1:]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(script_text(name).encode() + stdin)
    process.stdin.close()
    process.stdin = None
    return process


def answer(process: subprocess.Popen[bytes]) -> list[str]:
    return process.communicate(timeout=30)[0].decode().splitlines()


def worker() -> subprocess.Popen[bytes]:
    """A script of Slipway, as the others see it."""
    return subprocess.Popen(["dash", "-c", "sleep 60; :", "slipway", "1"], start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def files(host: LocalHost) -> dict[str, bytes | None]:
    """All below the root, save what a script that waits keeps for itself."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in host.root.rglob("*")
        if "/turn." not in str(path) and "/.incoming." not in str(path)
    }


def slowed(host: LocalHost, program: str) -> None:
    """Make a program read nothing before half a second has passed."""
    path = host.fake / "bin" / program
    path.write_text(f'#!/bin/sh\nsleep 0.5\nexec {shutil.which(program)} "$@"\n')
    path.chmod(0o755)


def left(host: LocalHost) -> list[str]:
    names = [path.name for path in host.state("").iterdir()]
    return [name for name in names if name.startswith(("busy", "turn.", "list."))]


@pytest.mark.parametrize("before", ["", "99999999", "99999999 another-boot", "one of another boot"])
def test_of_scripts_that_come_together_none_loses_what_another_wrote(tmp_path: Path, before: str) -> None:
    host = LocalHost("n1", tmp_path)
    slowed(host, "sync")
    host.state("").mkdir(parents=True)
    other = worker()
    if before:
        words = f"{other.pid} another-boot" if before.startswith("one") else before
        host.state("busy").write_text(f"{words}\n")
    names = ["one", "two", "three"]
    running = [started(host, "record", ["phase", name, "digest"]) for name in names]
    assert [answer(process) for process in running] == [["end"]] * 3
    end(other)
    recorded = {line.split("\t")[0] for line in host.state("phases").read_text().splitlines()}
    assert recorded == set(names)
    assert left(host) == []


@pytest.mark.parametrize("name", ["activate", "remove", "phase", "generation", "restage", "stage"])
def test_nothing_is_touched_while_another_script_works(one: Place, tmp_path: Path, name: str) -> None:
    one.run(apply_run)
    host, old = one.hosts["n1"], one.tree().hosts["n1"].digest
    one.contents["/etc/idle/idle.conf"] = "level: 2\n"
    one.run(push_run)
    new = one.tree().hosts["n1"].digest
    third = one.tree().hosts["n1"]
    stream = staged_stream(third, [item for item in third.items if item.blob], SecretStore(tmp_path, lambda: None))
    script, words, stdin = {
        "activate": ("activate", [new], b"phase\truntime\nend\n"),
        "remove": ("remove", [new], b"link\t/usr/local/bin/idle\nend\n"),
        "phase": ("record", ["phase", "runtime", "digest"], b""),
        "generation": ("record", ["generation", new], b"\nend\n"),
        "restage": ("restage", ["stage", old], b""),
        "stage": ("stage", ["other"], stream),
    }[name]
    other = worker()
    host.state("busy").write_text(f"{other.pid} {BOOT}\n")
    before = files(host)
    process = started(host, script, words, stdin)
    time.sleep(1.2)
    assert process.poll() is None and files(host) == before
    end(other)
    assert answer(process)[-1] == "end"
    assert files(host) != before
    assert left(host) == [] and not list(host.root.rglob(".incoming.*"))


@pytest.mark.parametrize("kills", [1, 3])
def test_a_script_that_was_killed_holds_nobody_up(tmp_path: Path, kills: int) -> None:
    host = LocalHost("n1", tmp_path)
    slowed(host, "sync")
    for _ in range(kills):
        process = started(host, "record", ["phase", "killed", "digest"])
        deadline = time.monotonic() + 20
        while not host.state("phases.new").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        end(process)
        host.state("phases.new").unlink()
    assert len(left(host)) == kills
    (host.fake / "bin/sleep").write_text("#!/bin/sh\nexit 1\n")
    assert answer(started(host, "record", ["phase", "next", "digest"])) == ["end"]
    assert host.state("phases").read_text() == "next\tdigest\n"
    assert left(host) == []


def test_an_activation_keeps_its_list_when_what_is_staged_vanishes(one: Place) -> None:
    one.run(push_run)
    host = one.hosts["n1"]
    program = host.fake / "bin/sync"
    program.write_text(
        '#!/bin/sh\ncase $* in *idle.conf.slipway*) rm -rf "$FAKE_ROOT/var/lib/slipway/staged" ;; esac\n'
        f'exec {shutil.which("sync")} "$@"\n'
    )
    program.chmod(0o755)
    order = b"phase\thost-base\nphase\tbinaries\nphase\truntime\nend\n"
    said = answer(started(host, "activate", [one.tree().hosts["n1"].digest], order))
    assert said[-1] == "end" and not host.state("staged").exists()
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    assert "start idle.service" in host.log and not list(host.root.rglob(".*.slipway"))
    assert left(host) == []


def test_a_generation_that_is_no_longer_staged_is_not_recorded(one: Place) -> None:
    one.run(apply_run)
    host = one.hosts["n1"]
    present = host.state("generation").read_text()
    (said,) = answer(started(host, "record", ["generation", "another"], b"\nend\n"))
    assert said.startswith("fail\tgeneration another is no longer staged") and said.endswith(
        "run the same command again"
    )
    assert host.state("generation").read_text() == present
