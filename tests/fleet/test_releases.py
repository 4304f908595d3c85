"""Releases to virtual machines: the script on hosts without systemd, archives, and the way there by a real sshd."""

from __future__ import annotations

import asyncio
import http.server
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.artifacts import chunks
from fleet.connection import Connection
from fleet.host_scripts import run_script, script_argv, script_text
from fleet.machines import Machines
from fleet.release_archive import archive, digest_of
from fleet.releases import Outcome, Release, deploy, start_words
from generator.ci.machines import commands_as_root, machine_files
from generator.errors import HostError, RefusedError, WorkspaceError
from tests.ci.samples import MACHINES, sample
from tests.fleet.local_host import LocalHost
from tests.fleet.test_ssh import SSHD, Server
from verbs.ci_machines import target_of

UNIT = "hello.service"


class Hosts:
    """Virtual machines, made when they are entered; the project's folder is one of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, LocalHost] = {}

    def __getitem__(self, name: str) -> LocalHost:
        if name not in self.hosts:
            host = self.hosts[name] = LocalHost(name, self.folder)
            (host.root / "etc/systemd/system").mkdir(parents=True)
            (host.root / "opt/hello").mkdir(parents=True)
        return self.hosts[name]

    async def enter(self, name: str) -> Connection:
        return self[name]


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path / "hosts")


def project(*, count: int = 1, health: dict[str, Any] | None = None, **changes: Any) -> Any:
    vm = {"user": "hello", "directory": "/opt/hello", "keep": 2}
    script = 'test -e well || {\necho "it\'s gone" >&2; exit 1; }'
    asked = {"command": ["sh", "-c", script], "initialDelaySeconds": 0} if health is None else health
    names = [f"vm-{number + 1}" for number in range(count)]
    return sample(MACHINES, health=asked, environments={"dev": {"hosts": names}}, **{"vm": vm, **changes})


def artifact(folder: Path, content: str, *, well: bool = True) -> Path:
    made = folder / f"artifact-{content}"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "hello").write_text(content)
    (made / "bin" / "hello").chmod(0o755)
    (made / "latest").symlink_to("bin/hello")
    if well:
        (made / "well").touch()
    return made


def released(
    hosts: Hosts, one: Any, made: Path, release: str | None = None, within: int = 1
) -> tuple[Release, tuple[Outcome, ...]]:
    return asyncio.run(deploy(target_of(one, "dev"), made, hosts.enter, release=release, within=within))


def states(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [one.state for one in outcomes]


def home(host: LocalHost) -> Path:
    return host.root / "opt/hello"


def kept(host: LocalHost) -> set[str]:
    """The names of the releases on a host."""
    return {path.name for path in (home(host) / "releases").iterdir()}


def runs(host: LocalHost) -> str:
    return (home(host) / "current/bin/hello").read_text()


def test_first_release_then_the_same_again(hosts: Hosts, tmp_path: Path) -> None:
    one, made = project(count=2), artifact(tmp_path, "one")
    release, outcomes = released(hosts, one, made)
    assert states(outcomes) == ["deployed"] * 2
    assert release.id == release.digest[:12]
    host = hosts["vm-1"]
    assert os.readlink(home(host) / "current") == f"releases/{release.id}"
    assert runs(host) == "one"
    assert (home(host) / "current/latest").is_symlink() and os.access(home(host) / "current/bin/hello", os.X_OK)
    assert (host.root / "etc/systemd/system" / UNIT).read_text() == machine_files(one, "dev").unit
    assert (home(host) / "current/.slipway/env").stat().st_mode & 0o077 == 0
    assert host.log == ["daemon-reload", f"restart {UNIT}", f"enable {UNIT}"]
    # What systemctl was asked for is what sudoers allow.
    allowed = {line.removeprefix("/usr/bin/systemctl ") for line in commands_as_root(one)}
    assert set(host.log) <= allowed
    host.forget_log()
    _, outcomes = released(hosts, one, made)
    assert states(outcomes) == ["unchanged"] * 2
    assert host.log == []


def test_an_upgrade_keeps_as_many_releases_as_it_is_told(hosts: Hosts, tmp_path: Path) -> None:
    for number in ("one", "two", "three", "four"):
        _, outcomes = released(hosts, project(), artifact(tmp_path, number), number)
        assert states(outcomes) == ["deployed"]
    host = hosts["vm-1"]
    assert runs(host) == "four"
    assert sorted(path.name for path in (home(host) / "releases").iterdir()) == ["four", "three"]
    # The unit names `current` alone, and so is the same.
    assert host.log.count("daemon-reload") == 1


def test_one_that_never_was_well_takes_no_place_of_one_that_was(hosts: Hosts, tmp_path: Path) -> None:
    """However many fail in between: keep counts what was well, and of what was not only the last is there to look."""
    for number in ("one", "two", "three"):
        assert states(released(hosts, project(), artifact(tmp_path, number), number)[1]) == ["deployed"]
    host = hosts["vm-1"]
    for number in ("bad", "worse", "worst"):
        assert states(released(hosts, project(), artifact(tmp_path, number, well=False), number, within=0)[1]) == [
            "back"
        ]
        assert kept(host) == {"three", "two", number}
    assert states(released(hosts, project(), artifact(tmp_path, "four"), "four")[1]) == ["deployed"]
    assert kept(host) == {"four", "three"}
    # What is gone back to counts as the newest, whatever its name and however old its files are.
    assert states(released(hosts, project(), tmp_path / "artifact-three", "three")[1]) == ["deployed"]
    assert states(released(hosts, project(), artifact(tmp_path, "five"), "five")[1]) == ["deployed"]
    assert kept(host) == {"five", "three"}
    # One that was well and then was not has lost its place.
    (home(host) / "releases/three/well").unlink()
    assert states(released(hosts, project(), tmp_path / "artifact-three", "three", within=0)[1]) == ["back"]
    assert kept(host) == {"five", "three"}
    assert states(released(hosts, project(), tmp_path / "artifact-bad", "bad", within=0)[1]) == ["back"]
    assert kept(host) == {"five", "bad"}


def test_the_one_that_runs_stays_though_the_clock_went_back(hosts: Hosts, tmp_path: Path) -> None:
    for number in ("one", "two", "three"):
        released(hosts, project(), artifact(tmp_path, number), number)
    host = hosts["vm-1"]
    os.utime(home(host) / "releases/three/.slipway/well", (1, 1))
    for number in ("two", "old"):
        (home(host) / "releases" / number / ".slipway").mkdir(parents=True, exist_ok=True)
        (home(host) / "releases" / number / ".slipway/well").touch()
    assert states(released(hosts, project(), artifact(tmp_path, "bad", well=False), "bad", within=0)[1]) == ["back"]
    assert runs(host) == "three" and kept(host) == {"old", "two", "three", "bad"}


def test_one_that_does_not_get_well_goes_back_and_the_next_host_stays(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(count=3), artifact(tmp_path, "one"), "one")
    worse = project(count=3, run={"command": ["/app/bin/hello", "--new"]})
    _, outcomes = released(hosts, worse, artifact(tmp_path, "two", well=False), "two")
    assert states(outcomes) == ["back", "untouched", "untouched"]
    assert outcomes[0].why == f"not well within 1 s: {UNIT} is active, it's gone"
    assert outcomes[0].journal == ("the last words of the unit",)
    assert "the one before runs again" in outcomes[0].line("two")
    host = hosts["vm-1"]
    assert runs(host) == "one"
    # The unit goes back with the link.
    assert (host.root / "etc/systemd/system" / UNIT).read_text() == machine_files(project(), "dev").unit
    assert (host.fake / "units" / UNIT).read_text().strip() == "active"
    assert not (home(host) / ".slipway/trying").exists()
    assert [runs(hosts[name]) for name in ("vm-2", "vm-3")] == ["one", "one"]
    _, outcomes = released(hosts, worse, artifact(tmp_path, "three"), "three")
    assert states(outcomes) == ["deployed"] * 3


def test_every_host_has_the_release_before_the_first_begins(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(count=3), artifact(tmp_path, "one"), "one")
    hosts["vm-2"].reachable = False
    _, outcomes = released(hosts, project(count=3), artifact(tmp_path, "two"), "two")
    assert states(outcomes) == ["untouched", "failed", "untouched"]
    assert "cannot be reached" in outcomes[1].line("two")
    assert [runs(hosts[name]) for name in ("vm-1", "vm-3")] == ["one", "one"]
    assert kept(hosts["vm-1"]) == {"one", "two"} and kept(hosts["vm-3"]) == {"one"}
    hosts["vm-2"].reachable = True
    said: list[str] = []
    target = target_of(project(count=3), "dev")
    made = tmp_path / "artifact-two"
    _, outcomes = asyncio.run(deploy(target, made, hosts.enter, release="two", within=1, told=said.append))
    assert states(outcomes) == ["deployed"] * 3
    # What is there is not sent again.
    assert [line for line in said if line.endswith("is there")] == [
        "vm-2: release two is there",
        "vm-3: release two is there",
    ]


def test_the_one_that_runs_is_not_ended_because_it_is_not_well_just_now(hosts: Hosts, tmp_path: Path) -> None:
    """Its database may be away: who releases it again in that night must not take the unit off the host."""
    made = artifact(tmp_path, "one")
    released(hosts, project(), made, "one")
    host = hosts["vm-1"]
    (home(host) / "current/well").unlink()
    host.forget_log()
    _, outcomes = released(hosts, project(), made, "one", within=0)
    assert states(outcomes) == ["unwell"]
    assert "ran there before, was started anew and is not well" in outcomes[0].line("one")
    assert "it's gone" in outcomes[0].line("one")
    assert host.log == [f"restart {UNIT}"] and runs(host) == "one"
    # Later it is well, and known as one that was.
    (home(host) / "current/well").touch()
    assert states(released(hosts, project(), made, "one")[1]) == ["unchanged"]
    assert states(released(hosts, project(), artifact(tmp_path, "two", well=False), "two", within=0)[1]) == ["back"]


def test_what_is_gone_back_to_is_started_and_asked_by_its_own_check(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    # By the check of the first the second would be well; it is not by its own.
    stricter = project(health={"command": ["false"], "initialDelaySeconds": 0})
    _, outcomes = released(hosts, stricter, artifact(tmp_path, "two"), "two", within=0)
    host = hosts["vm-1"]
    assert states(outcomes) == ["back"] and runs(host) == "one"
    assert host.log[-1] == f"restart {UNIT}" and host.log.count(f"restart {UNIT}") == 3


def test_a_unit_that_may_not_be_changed_costs_no_restart(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    host = hosts["vm-1"]
    no = host.fake / "bin/install"
    no.write_text("#!/bin/sh\necho sudo: a password is required >&2\nexit 1\n")
    no.chmod(0o755)
    host.forget_log()
    other = project(run={"command": ["/app/bin/hello", "--new"]})
    _, outcomes = released(hosts, other, artifact(tmp_path, "two"), "two")
    assert states(outcomes) == ["back"]
    assert outcomes[0].why.endswith("cannot be replaced (see sudoers): sudo: a password is required")
    assert host.log == [] and runs(host) == "one"
    # After a run that was cut off nobody knows which program the unit has, so it is started anew.
    (home(host) / ".slipway/trying").write_text("two one\n")
    assert states(released(hosts, other, tmp_path / "artifact-two", "two")[1]) == ["back"]
    assert host.log == [f"restart {UNIT}"]


def test_a_first_one_that_does_not_get_well_leaves_nothing_running(hosts: Hosts, tmp_path: Path) -> None:
    _, outcomes = released(hosts, project(), artifact(tmp_path, "one", well=False), "one")
    assert states(outcomes) == ["stopped"]
    assert not (home(hosts["vm-1"]) / "current").is_symlink()
    # It is not begun by the next boot either.
    assert hosts["vm-1"].log == ["daemon-reload", f"restart {UNIT}", f"stop {UNIT}"]


def test_a_unit_that_does_not_start_goes_back_and_says_why(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    (hosts["vm-1"].fake / f"broken.{UNIT}").touch()
    _, outcomes = released(hosts, project(), artifact(tmp_path, "two"), "two")
    # The fake breaks the unit whatever release it is of, so the way back is broken too.
    assert states(outcomes) == ["broken"]
    assert outcomes[0].why == f"{UNIT} does not start: Job for {UNIT} failed."
    assert "look at the host now" in outcomes[0].line("two")
    (hosts["vm-1"].fake / f"broken.{UNIT}").unlink()
    assert states(released(hosts, project(), artifact(tmp_path, "three"), "three")[1]) == ["deployed"]


def test_a_release_that_was_cut_off_is_no_way_back(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    released(hosts, project(), artifact(tmp_path, "two"), "two")
    host = hosts["vm-1"]
    # As after a power cut between the switch to two and its health check.
    (home(host) / ".slipway/trying").write_text("two one\n")
    (home(host) / ".current.new").symlink_to("releases/one")
    (home(host) / "releases/.three.partial").mkdir()
    (home(host) / "releases/.other.partial").mkdir()
    (home(host) / "releases/.other.tar").touch()
    _, outcomes = released(hosts, project(), artifact(tmp_path, "three", well=False), "three")
    assert states(outcomes)[0] == "back"
    assert runs(host) == "one"
    assert kept(host) == {"one", "two", "three"}, "what copies have left that broke off is gone"
    # The same release again, after such a cut, is tried anew and not taken for running.
    released(hosts, project(), artifact(tmp_path, "four"), "four")
    (home(host) / ".slipway/trying").write_text("four one\n")
    host.forget_log()
    _, outcomes = released(hosts, project(), tmp_path / "artifact-four", "four")
    assert states(outcomes)[0] == "deployed"
    assert host.log == [f"restart {UNIT}"]


class Cut:
    """A release that has switched and waits in the restart of its unit, as one does whose connection is then cut."""

    def __init__(self, host: LocalHost, made: Path, name: str) -> None:
        self.hold = host.fake / "hold"
        self.hold.touch()
        real, slow = host.fake / "bin/systemctl.real", host.fake / "bin/systemctl"
        slow.rename(real)
        slow.write_text(
            '#!/bin/sh\nif [ "$1" = restart ]; then\n    touch "$FAKE/held"\n'
            '    n=0; while [ -e "$FAKE/hold" ] && [ $n -lt 500 ]; do n=$((n + 1)); sleep 0.02; done\nfi\n'
            f'exec {real} "$@"\n'
        )
        slow.chmod(0o755)
        target = target_of(project(), "dev")
        file = made.with_suffix(".tar")
        digest = archive(made, target.files, file)
        asyncio.run(run_script(host, "release", ("stage", target.directory, name, digest), chunks(file)))
        words = script_argv("release", start_words(target, Release(name, digest, file, 1)), str(host.root))
        self.process = subprocess.Popen(
            ["dash", *words[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env=host.environment,
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(script_text("release").encode())
        self.process.stdin.close()
        deadline = time.monotonic() + 20
        while not (host.fake / "held").exists():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.02)

    def break_off(self, how: signal.Signals) -> None:
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        os.killpg(self.process.pid, how)

    def end(self) -> None:
        self.hold.unlink()
        self.process.wait(20)


def test_a_connection_that_breaks_leaves_no_host_between_two_releases(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    host = hosts["vm-1"]
    cut = Cut(host, artifact(tmp_path, "two", well=False), "two")
    cut.break_off(signal.SIGHUP)
    # It goes on by itself, and whoever comes meanwhile is told so.
    _, outcomes = released(hosts, project(), artifact(tmp_path, "three"), "three")
    assert states(outcomes) == ["failed"] and "another release is under way there" in outcomes[0].why
    assert runs(host) == "two"
    cut.end()
    assert runs(host) == "one" and not (home(host) / ".slipway/trying").exists()


def test_a_host_that_died_between_switch_and_restart_is_mended_by_the_next_run(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    host = hosts["vm-1"]
    cut = Cut(host, artifact(tmp_path, "two"), "two")
    cut.break_off(signal.SIGKILL)
    cut.end()
    assert runs(host) == "two" and (home(host) / ".slipway/trying").read_text() == "two one\n"
    assert states(released(hosts, project(), artifact(tmp_path, "three", well=False), "three")[1]) == ["back"]
    assert runs(host) == "one", "what was never seen well is no way back"
    # The same command again is what the operator does.
    assert states(released(hosts, project(), tmp_path / "artifact-two", "two")[1]) == ["deployed"]
    assert runs(host) == "two"


def test_two_at_once_and_one_name_for_two_things_are_refused(hosts: Hosts, tmp_path: Path) -> None:
    released(hosts, project(), artifact(tmp_path, "one"), "one")
    _, outcomes = released(hosts, project(), artifact(tmp_path, "two"), "one")
    assert states(outcomes)[0] == "failed"
    assert "release one is there already and holds something else" in outcomes[0].why
    lock = home(hosts["vm-1"]) / ".slipway/lock"
    held = subprocess.Popen(["flock", str(lock), "sh", "-c", "echo; sleep 60"], stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None and held.stdout.readline()
        _, outcomes = released(hosts, project(), tmp_path / "artifact-two", "two")
        assert "another release is under way there" in outcomes[0].why
    finally:
        subprocess.run(["pkill", "-P", str(held.pid)], check=False)
        held.kill()
        held.wait()
        assert held.stdout is not None
        held.stdout.close()


def test_an_archive_that_arrives_otherwise_is_not_unpacked(hosts: Hosts, tmp_path: Path) -> None:
    class Torn(LocalHost):
        async def run(self, argv: Any, stdin: Any = b"", *, timeout: float = 60) -> Any:
            if "stage" in argv:
                whole = stdin if isinstance(stdin, bytes) else b"".join([part async for part in stdin])
                stdin = whole[:-1024]
            return await super().run(argv, stdin, timeout=timeout)

    hosts["vm-1"]
    hosts.hosts["vm-1"] = Torn("vm-1", hosts.folder)
    _, outcomes = released(hosts, project(), artifact(tmp_path, "one"), "one")
    assert "what arrived is not what was sent" in outcomes[0].why
    assert list((home(hosts["vm-1"]) / "releases").iterdir()) == []


def test_a_disk_that_is_full_is_not_left_so(hosts: Hosts, tmp_path: Path) -> None:
    host = hosts["vm-1"]
    tar = host.fake / "bin/tar"
    tar.write_text('#!/bin/sh\ntouch "$5/half"\necho "tar: half: No space left on device" >&2\nexit 2\n')
    tar.chmod(0o755)
    _, outcomes = released(hosts, project(), artifact(tmp_path, "one"), "one")
    assert states(outcomes) == ["failed"]
    assert ".one.tar cannot be unpacked (No space left on device)" in outcomes[0].why
    assert list((home(host) / "releases").iterdir()) == []


class _Answer(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the release says which runs."""

    current = Path()

    def do_GET(self) -> None:
        status = int((self.current / "bin/hello").read_text()) if self.path == "/healthz" else 404
        self.send_response(status)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        return


@pytest.fixture
def answers(hosts: Hosts) -> Iterator[int]:
    _Answer.current = home(hosts["vm-1"]) / "current"
    server = http.server.HTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_health_is_asked_by_http_and_by_tcp(hosts: Hosts, answers: int, tmp_path: Path) -> None:
    by_http = {"path": "/healthz", "port": answers, "initialDelaySeconds": 0, "timeoutSeconds": 2}
    one = project(health=by_http)
    _, outcomes = released(hosts, one, artifact(tmp_path, "204"), "good")
    assert states(outcomes)[0] == "deployed"
    _, outcomes = released(hosts, one, artifact(tmp_path, "503"), "bad")
    assert states(outcomes)[0] == "back"
    assert "503" in outcomes[0].why
    by_tcp = project(health={"tcp": True, "port": answers, "initialDelaySeconds": 0})
    assert states(released(hosts, by_tcp, artifact(tmp_path, "500"), "open")[1])[0] == "deployed"
    closed = project(health={"tcp": True, "port": 1, "initialDelaySeconds": 0})
    assert states(released(hosts, closed, artifact(tmp_path, "501"), "closed")[1])[0] == "back"


def test_the_same_content_gives_the_same_archive(tmp_path: Path) -> None:
    files = target_of(project(), "dev").files
    first = archive(artifact(tmp_path, "one"), files, tmp_path / "a.tar")
    again = tmp_path / "again"
    again.mkdir()
    moved = artifact(again, "one")
    os.utime(moved / "well", (1, 1))
    assert archive(moved, files, tmp_path / "b.tar") == first == digest_of(tmp_path / "b.tar")
    (moved / ".git").mkdir()
    (moved / ".git/config").touch()
    assert archive(moved, files, tmp_path / "b.tar") == first
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {(one.uid, one.gid, one.mtime) for one in tar} == {(0, 0, 0)}


def test_what_cannot_be_on_another_host_is_refused(tmp_path: Path) -> None:
    files = target_of(project(), "dev").files
    with pytest.raises(RefusedError, match="no such artifact"):
        archive(tmp_path / "none", files, tmp_path / "a.tar")
    for number, target in enumerate(("/etc/passwd", "../../outside")):
        made = tmp_path / f"made-{number}"
        made.mkdir()
        (made / "link").symlink_to(target)
        with pytest.raises(RefusedError, match="outside of the artifact"):
            archive(made, files, tmp_path / "a.tar")
    made = tmp_path / "circle"
    made.mkdir()
    (made / "a").symlink_to("b")
    (made / "b").symlink_to("a")
    for which in (made, made / "a"):
        with pytest.raises(RefusedError, match=f"{which}: symlink loop from .*; take the link out"):
            archive(which, files, tmp_path / "a.tar")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RefusedError, match="pipe: no such artifact"):
        archive(tmp_path / "pipe", files, tmp_path / "a.tar")
    (tmp_path / "file").mkdir()
    (tmp_path / "file/.slipway").touch()
    with pytest.raises(RefusedError, match=r"\.slipway is Slipway's own"):
        archive(tmp_path / "file/.slipway", files, tmp_path / "a.tar")
    own = tmp_path / "own"
    (own / ".slipway").mkdir(parents=True)
    with pytest.raises(RefusedError, match=r"\.slipway is Slipway's own"):
        archive(own, files, tmp_path / "a.tar")


def test_what_cannot_be_read_is_no_release_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = artifact(tmp_path, "one")

    def closed(folder: Path, onerror: Any) -> Any:
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr(os, "walk", closed)
    with pytest.raises(RefusedError, match=rf"{made}: cannot be put into the release \(Permission denied\)"):
        archive(made, {}, tmp_path / "a.tar")


def test_a_link_to_the_program_is_the_program_by_the_name_of_the_link(tmp_path: Path) -> None:
    made = artifact(tmp_path, "one")
    (made / "odd \n name").write_text("odd")
    archive(made / "latest", {}, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getnames() == [".slipway", "latest"]
        program = tar.extractfile("latest")
        assert program is not None and program.read() == b"one"
        assert tar.getmember("latest").mode == 0o755
    (tmp_path / "link").symlink_to(made)
    assert archive(tmp_path / "link", {}, tmp_path / "b.tar") == archive(made, {}, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert "odd \n name" in tar.getnames()


def test_a_name_that_could_be_a_path_is_refused(hosts: Hosts, tmp_path: Path) -> None:
    made = artifact(tmp_path, "one")
    for name in ("../x", "a b", "", ".x", "a/b"):
        with pytest.raises(RefusedError, match="use letters, digits"):
            released(hosts, project(), made, name)


needs_sshd = pytest.mark.skipif(
    os.geteuid() != 0 or not Path(SSHD).exists(), reason="needs root and an sshd (package openssh-server)"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "sshd")
    yield one
    one.stop()


@needs_sshd
def test_by_ssh_with_one_key_and_known_hosts(server: Server, tmp_path: Path) -> None:
    """Up to the switch, which is systemd's: the archive is there, unpacked, with its digest."""
    known = tmp_path / "known_hosts"
    known.write_text(server.known)
    one = project(vm={"user": "root", "directory": str(tmp_path / "vm"), "keep": 2})
    machines = Machines("hello", known, server.user_key, server.port)
    file = tmp_path / "release.tar"
    digest = archive(artifact(tmp_path, "one"), target_of(one, "dev").files, file)

    async def staged() -> None:
        connection = await machines.enter("127.0.0.1", "root")
        place = (one.vm_directory, "r1")
        assert await run_script(connection, "release", ("look", *place)) == (("digest", "-"),)
        await run_script(connection, "release", ("stage", *place, digest), chunks(file))
        assert await run_script(connection, "release", ("look", *place)) == (("digest", digest),)
        await connection.close()

    asyncio.run(staged())
    assert (tmp_path / "vm/releases/r1/bin/hello").read_text() == "one"


@needs_sshd
def test_a_host_that_nobody_knows_and_a_key_that_nobody_wants(server: Server, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    with pytest.raises(WorkspaceError, match="nobody knows who answers"):
        Machines("hello", known, server.user_key, server.port)
    known.write_text("")
    machines = Machines("hello", known, server.user_key, server.port)
    with pytest.raises(HostError, match=r"is not in .*known_hosts; compare it with the host's own"):
        asyncio.run(machines.enter("127.0.0.1", "root"))
    known.write_text(server.known)
    with pytest.raises(WorkspaceError, match="the key cannot be used"):
        Machines("hello", known, known, server.port)
    other = Server(tmp_path / "other")
    try:
        machines = Machines("hello", known, other.user_key, server.port)
        with pytest.raises(HostError, match="accepts none of your keys"):
            asyncio.run(machines.enter("127.0.0.1", "root"))
    finally:
        other.stop()
