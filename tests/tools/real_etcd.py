"""A real etcd for tests, of one member or more, with TLS on both sides, on loopback."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from generator.pki.issuing import certificate_pem
from generator.pki.keys import key_pem
from tests.fleet.certificate_maker import CLIENT, SERVER, TestCa

START_SECONDS = 30


def needed(*programs: str) -> None:
    """Skip the test where one of the programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class Member:
    """One member: where it listens and where its data lies."""

    name: str
    client: str
    peer: str
    data: Path


@dataclass(frozen=True)
class Etcd:
    """Members that run, and the certificates in `pki`: ca.crt, backup.crt and backup.key."""

    members: tuple[Member, ...]
    pki: Path

    def ctl(self, *words: str, endpoint: str = "") -> str:
        """Run etcdctl and return what it says."""
        done = subprocess.run(
            ["etcdctl", f"--endpoints={endpoint or self.members[0].client}", *_tls(self.pki), *words],
            capture_output=True, text=True, timeout=60, env={**os.environ, "ETCDCTL_API": "3"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put(self, key: str, value: str) -> None:
        self.ctl("put", key, value)

    def keys(self, endpoint: str = "") -> dict[str, tuple[str, int, int]]:
        """Every key with its value, the revision that made it and the one that changed it last."""
        found: dict[str, Any] = json.loads(self.ctl("get", "", "--prefix", "-w", "json", endpoint=endpoint))
        return {
            base64.b64decode(one["key"]).decode(): (
                base64.b64decode(one.get("value", "")).decode(), one["create_revision"], one["mod_revision"],
            )
            for one in found.get("kvs", [])
        }  # fmt: skip

    def cluster_id(self, endpoint: str = "") -> int:
        """The id that etcd gives a cluster at its formation."""
        found = json.loads(self.ctl("endpoint", "status", "-w", "json", endpoint=endpoint))
        return int(found[0]["Status"]["header"]["cluster_id"])


def members_at(folder: Path, count: int = 1) -> tuple[Member, ...]:
    """Members with ports that are free now and folders of their own; nothing is started."""
    return tuple(
        Member(
            f"m{number}", f"https://127.0.0.1:{free_port()}", f"https://127.0.0.1:{free_port()}", folder / f"m{number}",
        )
        for number in range(1, count + 1)
    )  # fmt: skip


def make_pki(folder: Path) -> Path:
    """Write a CA and one certificate for everything into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    ca = TestCa.made("etcd-ca")
    leaf, key = ca.leaf(("IP:127.0.0.1",), extended=(SERVER, CLIENT))
    (folder / "ca.crt").write_text(certificate_pem(ca.certificate))
    (folder / "backup.crt").write_text(certificate_pem(leaf))
    (folder / "backup.key").write_bytes(key_pem(key))
    return folder


@contextmanager
def running(members: Sequence[Member], pki: Path, *, state: str = "new") -> Iterator[Etcd]:
    """Run members until the end of the block; they have a quorum when it begins."""
    cluster = ",".join(f"{one.name}={one.peer}" for one in members)
    with ExitStack() as stack:
        for one in members:
            one.data.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context((one.data.parent / f"{one.name}.log").open("ab"))
            process = subprocess.Popen(
                [
                    "etcd", f"--name={one.name}", f"--data-dir={one.data}", f"--initial-cluster={cluster}",
                    f"--initial-cluster-state={state}", f"--listen-client-urls={one.client}",
                    f"--advertise-client-urls={one.client}", f"--listen-peer-urls={one.peer}",
                    f"--initial-advertise-peer-urls={one.peer}", "--client-cert-auth", "--peer-client-cert-auth",
                    *(f"--{who}{flag}={pki / file}" for who in ("", "peer-") for flag, file in _FILES),
                ],
                stdout=log, stderr=log, env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            )  # fmt: skip
            stack.callback(ended, process)
        found = Etcd(tuple(members), pki)
        _wait_for(found)
        yield found


_FILES = (("cert-file", "backup.crt"), ("key-file", "backup.key"), ("trusted-ca-file", "ca.crt"))


def _tls(pki: Path) -> list[str]:
    return [f"--cacert={pki / 'ca.crt'}", f"--cert={pki / 'backup.crt'}", f"--key={pki / 'backup.key'}"]


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force where it does not go by itself."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(etcd: Etcd) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        done = subprocess.run(
            ["etcdctl", f"--endpoints={','.join(one.client for one in etcd.members)}", *_tls(etcd.pki),
             "endpoint", "health"],
            capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"},
        )  # fmt: skip
        if done.returncode == 0:
            return
        assert time.monotonic() < end, done.stderr
        time.sleep(0.2)
