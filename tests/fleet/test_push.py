"""What goes to hosts: archives, downloads by the host, secrets, each proved before it is placed."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import http.server
import io
import os
import stat
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.host_scripts import script_argv, script_text
from fleet.runs import apply_run, plan_run, push_run
from fleet.secrets import SecretStore
from fleet.standing import Fleet
from generator.errors import HostError, PkiError, SealingError
from generator.pki.keys import key_id, key_pem, new_key
from generator.sealing import cluster_recipients, create_identity, load_identity, seal, sealed_path
from tests.fleet.local_host import as_root
from tests.fleet.place import HOSTS, Place
from tests.fleet.small_tree import ITEMS

pytestmark = as_root
TOKEN = b"the token that nobody may read"


def archive(members: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def binary(path: str, member: str) -> dict[str, Any]:
    return {
        "path": path, "kind": "binary", "artifact": "idle", "version": "1.0", "arch": "amd64", "member": member,
        "phase": "binaries",
    }  # fmt: skip


def with_archive(one: Place, content: bytes, members: dict[str, str]) -> None:
    (one.folder / "art" / "idle").write_bytes(content)
    one.locked = hashlib.sha256(content).hexdigest()
    rest = [item for item in ITEMS if item["kind"] != "binary"]
    one.items = [*rest, *(binary(path, member) for path, member in members.items())]


def test_members_of_an_archive_land_in_the_version_folder(one: Place) -> None:
    content = archive({"./bin/idle": b"#!/bin/sh\n", "idle-1.0/ctl": b"#!/bin/sh\n# ctl\n", "README": b"no"})
    with_archive(one, content, {"/opt/idle/1.0/idle": "bin/idle", "/opt/idle/1.0/ctl": "idle-1.0/ctl"})
    one.run(apply_run)
    folder = one.hosts["n1"].root / "opt/idle/1.0"
    assert sorted(path.name for path in folder.iterdir()) == ["ctl", "idle"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o755}
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]
    (folder / "ctl").write_bytes(b"#!/bin/sh\nevil\n")
    assert "    ~ /opt/idle/1.0/ctl  idle 1.0" in one.plan()
    one.run(apply_run)
    assert (folder / "ctl").read_bytes() == b"#!/bin/sh\n# ctl\n"


def test_an_archive_without_the_member_leaves_nothing_behind(one: Place) -> None:
    with_archive(one, archive({"other": b"x"}), {"/opt/idle/1.0/idle": "bin/idle"})
    with pytest.raises(HostError, match="the archive has no member bin/idle"):
        one.run(apply_run)
    assert not list((one.hosts["n1"].root / "opt").rglob("*idle*slipway"))


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    handler = functools.partial(Quiet, directory=str(tmp_path / "art"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_host_fetches_for_itself_and_proves_what_came(one: Place, mirror: str) -> None:
    one.url = f"{mirror}/idle"
    right = one.locked
    one.locked = "1" * 64
    with pytest.raises(HostError, match=r"idle has digest [0-9a-f]{64}, artifacts\.lock says 1111"):
        one.run(apply_run, fetch="host")
    assert not (one.hosts["n1"].root / "opt/idle/1.0/idle").exists()
    one.locked = right
    one.run(apply_run, fetch="host")
    assert (one.hosts["n1"].root / "opt/idle/1.0/idle").exists()
    one.url = f"{mirror}/gone"
    (one.hosts["n1"].root / "opt/idle/1.0/idle").unlink()
    with pytest.raises(HostError, match="/gone cannot be fetched"):
        one.run(apply_run, fetch="host")


class Sealed:
    """A cluster folder with sealed secrets and the identity that opens them."""

    def __init__(self, cluster_dir: Path, identity: Path) -> None:
        self.dir = cluster_dir
        (cluster_dir / "recipients.txt").write_text(create_identity(identity) + "\n")
        self.identity = lambda: load_identity({"SLIPWAY_IDENTITY": str(identity)})

    def put(self, name: str, value: bytes) -> None:
        path = sealed_path(self.dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(seal(value, cluster_recipients(self.dir)))


def test_secrets_arrive_with_their_mode_and_are_nowhere_else(one: Place, tmp_path: Path) -> None:
    sealed = Sealed(one.cluster_dir, tmp_path / "identity")
    key = new_key("ecdsa-p256")
    sealed.put("pki/idle", key_pem(key))
    sealed.put("tokens/1", TOKEN)
    common = {"phase": "runtime", "restarts": ["idle.service"]}
    one.items += [
        {
            "path": "/etc/idle/idle.key",
            "kind": "secret",
            "secret": "pki/idle",
            "id": key_id(key),
            "mode": "0400",
            **common,
        },
        {"path": "/etc/idle/token.conf", "kind": "file", "secrets": {"tokens/1": "aaaa"}, "mode": "0600", **common},
    ]
    one.contents["/etc/idle/token.conf"] = "token: {{secret:tokens/1}}\n"
    said: list[str] = []

    def fleet() -> Fleet:
        made = one.fleet()
        made.identity = sealed.identity
        made.reporter = type("Listening", (), {"event": lambda self, kind, **facts: said.append(f"{kind} {facts}")})()
        return made

    async def main() -> None:
        await apply_run(fleet())
        assert not (await plan_run(fleet(), objects=False)).needed

    asyncio.run(main())
    host = one.hosts["n1"]
    assert (host.root / "etc/idle/token.conf").read_bytes() == b"token: " + TOKEN + b"\n"
    assert stat.S_IMODE((host.root / "etc/idle/idle.key").stat().st_mode) == 0o400
    state = host.root / "var/lib/slipway"
    assert not [path for path in state.rglob("*") if path.is_file() and TOKEN in path.read_bytes()]
    assert TOKEN.decode() not in "".join(said)
    # An edited secret shows as changed, without its content.
    (host.root / "etc/idle/token.conf").write_bytes(b"token: another\n")
    plan = asyncio.run(plan_run(fleet(), objects=False))
    changes = plan.hosts["n1"].work["runtime"].changes
    assert [(change.key, change.diff) for change in changes] == [("/etc/idle/token.conf", ())]
    asyncio.run(apply_run(fleet()))
    assert TOKEN in (host.root / "etc/idle/token.conf").read_bytes()


def test_a_key_that_is_not_the_one_of_the_tree_is_refused(tmp_path: Path) -> None:
    sealed = Sealed(tmp_path, tmp_path / "identity")
    sealed.put("pki/idle", key_pem(new_key("ecdsa-p256")))
    store = SecretStore(tmp_path, sealed.identity)
    with pytest.raises(PkiError, match="the rendered tree says 0000"):
        store.value("pki/idle", "0" * 16)
    with pytest.raises(SealingError, match="is not sealed"):
        store.value("pki/other")
    sealed.put("pki/broken", b"no key")
    with pytest.raises(PkiError):
        store.value("pki/broken")


def test_a_secret_that_does_not_open_is_told_before_any_host_gets_anything(one: Place, tmp_path: Path) -> None:
    sealed = Sealed(one.cluster_dir, tmp_path / "identity")
    sealed.put("pki/idle", key_pem(new_key("ecdsa-p256")))
    one.names = dict(HOSTS)
    one.items.append(
        {"path": "/etc/idle/idle.key", "kind": "secret", "secret": "pki/idle", "id": "0" * 16, "mode": "0400",
         "phase": "runtime"},
    )  # fmt: skip

    def fleet() -> Fleet:
        made = one.fleet()
        made.identity = sealed.identity
        return made

    with pytest.raises(PkiError, match="the rendered tree says 0000"):
        asyncio.run(push_run(fleet()))
    for name in HOSTS:
        assert not (one.hosts[name].root / "opt").exists() and not one.hosts[name].state("staged").exists()


def stand_in(program: Path, text: str) -> Path:
    """Put a script in the place of a program of a host."""
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def binary_script(root: Path, content: bytes) -> subprocess.Popen[bytes]:
    """Start the script `binary` and send it the first half of an artifact."""
    words = [hashlib.sha256(content).hexdigest(), "-", "/opt/idle/1.0/idle", "-", "idle"]
    command = ["dash", *script_argv("binary", words, str(root))[1:]]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(script_text("binary").encode() + content[: len(content) // 2])
    process.stdin.flush()
    return process


def test_two_runs_may_send_one_artifact_at_once(tmp_path: Path) -> None:
    content = b"#!/bin/sh\n" * 1000
    parts = tmp_path / "var/lib/slipway/artifacts"
    parts.mkdir(parents=True)
    for name, age in (("old", 90000), ("young", 3600)):
        (parts / name).touch()
        os.utime(parts / name, (time.time() - age,) * 2)
    first = binary_script(tmp_path, content)
    deadline = time.monotonic() + 20
    while not any(path.stat().st_size for path in parts.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = binary_script(tmp_path, content)
    answers = [process.communicate(content[len(content) // 2 :])[0] for process in (second, first)]
    assert [answer.splitlines()[-1] for answer in answers] == [b"end", b"end"]
    assert (tmp_path / "opt/idle/1.0/idle").read_bytes() == content
    assert [path.name for path in parts.iterdir()] == ["young"], (
        "a part goes with its script, an abandoned one in a day"
    )


@pytest.mark.parametrize("whole", [True, False])
def test_a_binary_of_a_run_that_is_gone_leaves_nothing_behind(tmp_path: Path, whole: bool) -> None:
    content = b"#!/bin/sh\n" * 1000
    state = tmp_path / "var/lib/slipway"
    state.mkdir(parents=True)
    (state / "installed.phase.99999999").touch()
    (state / f"installed.phase.{os.getpid()}").touch()
    process = binary_script(tmp_path, content)
    assert process.stdin is not None and process.stdout is not None
    process.stdout.close()  # nobody hears what it says any more
    process.stdin.write(content[len(content) // 2 :] if whole else b"")
    process.stdin.close()
    process.wait(30)
    assert list((state / "artifacts").iterdir()) == []
    kept = {f"installed.phase.{os.getpid()}"} | ({"installed"} if whole else set())
    assert {path.name for path in state.iterdir() if path.is_file()} == kept
    assert (tmp_path / "opt/idle/1.0/idle").exists() is whole


def test_a_binary_is_written_once_where_all_lies_on_one_file_system(one: Place) -> None:
    host = one.hosts["n1"]
    stand_in(host.fake / "bin/cp", "exit 1")
    one.run(push_run)
    assert (host.root / "opt/idle/1.0/idle").stat().st_mode & 0o7777 == 0o755
    records = [line.split("\t") for line in host.state("installed").read_text().splitlines()]
    assert [words[4] for words in records if words[1] == "binary"] == [one.locked]
    assert list(host.state("artifacts").iterdir()) == []


def test_a_binary_that_was_not_written_whole_is_not_put_in_place(one: Place) -> None:
    host = one.hosts["n1"]
    # /opt is a file system of its own: then the artifact is copied.
    stand_in(host.fake / "bin/ln", 'case $* in */opt/*) exit 1 ;; esac\nexec /usr/bin/ln "$@"')
    program = stand_in(host.fake / "bin/cp", 'for to; do :; done\nprintf torn >"$to"')
    with pytest.raises(HostError, match="idle cannot be written"):
        one.run(push_run)
    assert not [path for path in (host.root / "opt").rglob("*") if path.is_file()]
    program.unlink()
    one.run(push_run)
    records = [line.split("\t") for line in host.state("installed").read_text().splitlines()]
    assert [words[4] for words in records if words[1] == "binary"] == [one.locked]
