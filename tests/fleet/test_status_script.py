"""fleet/scripts/status.sh on a host made of files, in every shell that is here, and its answer as facts."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.host_scripts import script_text
from fleet.state import HostState
from fleet.status.host_facts import facts_from
from fleet.tree import RenderedTree
from generator.errors import HostError
from tests.fleet.small_tree import write_tree

# Not busybox: its shell takes its own programs before those that a test puts into PATH.
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
END = datetime(2030, 5, 1, tzinfo=UTC)


def row(local: str, state: str, inode: int) -> str:
    return (
        f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   994        0 {inode} 1 0 100\n"
    )


def certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, END - timedelta(days=10), END).sign(key, SHA256())
    return made.public_bytes(Encoding.PEM)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with sshd, a program in a pod and one whose process has gone; systemctl is not asked."""
    host = tmp_path / "host"
    (host / "proc/net").mkdir(parents=True)
    inodes = {}
    for pid, name, group in (
        (7, "sshd", "5:cpu:/\n1:name=systemd:/system.slice/ssh.service\n0::/\n"),
        (8, "web server", "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-0af3.scope\n"),
        (9, "etcd", "0::/system.slice/etcd.service\n"),
    ):
        files = host / f"proc/{pid}/fd"
        files.mkdir(parents=True)
        (files / "3").write_text("stands for a socket")
        inodes[pid] = (files / "3").stat().st_ino
        (host / f"proc/{pid}/comm").write_text(f"{name}\n")
        (host / f"proc/{pid}/cgroup").write_text(group)
    # The same socket in a second process, as a server and its workers have it.
    (host / "proc/70/fd").mkdir(parents=True)
    os.link(host / "proc/7/fd/3", host / "proc/70/fd/4")
    (host / "proc/uptime").write_text("5000.25 9000.00\n")
    rows = [
        row("00000000:0016", "0A", inodes[7]), row("0100007F:0016", "03", 0), row("0100007F:094D", "0A", inodes[9]),
        row("0100007F:1F90", "0A", 999999999),
        # What follows the first established connection is not read: the kernel tells of listeners first.
        row("0B00530A:0016", "01", 5), row("0B00530A:0050", "0A", 6),
    ]  # fmt: skip
    (host / "proc/net/tcp").write_text(HEADER + "".join(rows))
    (host / "proc/net/tcp6").write_text(HEADER + row("00000000000000000000000000000000:2328", "0A", inodes[8]))
    (host / "etc/pki").mkdir(parents=True)
    # A kubelet keeps certificate and key in one file.
    (host / "etc/pki/both.pem").write_bytes(certificate() + b"-----BEGIN EC PRIVATE" + b" KEY-----\nsecret\n")
    (host / "etc/pki/empty.crt").touch()
    return host


def asked(shell: str, root: Path, question: str) -> list[str]:
    words = [shell]
    command = 's=$(head -c "$1") && shift && eval "$s"'
    script = script_text("status")
    done = subprocess.run(
        [*words, "-c", command, "slipway", str(len(script.encode())), str(root)],
        input=script + question, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    return write_tree(tmp_path, hosts={"n1": {"pool": "workers", "address": "10.83.0.11"}})


@pytest.mark.parametrize("shell", SHELLS)
def test_who_listens_and_what_lies_there(shell: str, root: Path, tree: RenderedTree) -> None:
    lines = asked(
        shell, root, "certificate\t/etc/pki/both.pem\ncertificate\t/etc/pki/empty.crt\ncertificate\t/etc/pki/gone.crt\n"
    )
    assert lines[0] == "slipway\t1" and lines[-1] == "end"
    assert "secret" not in "".join(base64.b64decode(line.split("\t")[2]).decode("latin-1") for line in lines
                                   if line.startswith("certificate") and not line.endswith("-"))  # fmt: skip
    facts = facts_from(tree, HostState("n1"), tuple(tuple(line.split("\t")) for line in lines[:-1]))
    assert [(one.at, one.process, one.unit) for one in facts.listening] == [
        ("0.0.0.0:22", "sshd", "ssh.service"),
        ("127.0.0.1:2381", "etcd", "etcd.service"),
        ("127.0.0.1:8080", "", ""),
        ("[::]:9000", "web server", "kubepods"),
    ]
    assert {one.pid for one in facts.listening if one.process == "sshd"} <= {7, 70}
    assert facts.certificates["/etc/pki/both.pem"].ends == END and facts.unreadable == ("/etc/pki/empty.crt",)


def test_how_long_units_are_as_they_are(tree: RenderedTree) -> None:
    shown = [
        "Id=up.service", "ActiveState=active", "ActiveEnterTimestampMonotonic=4000000000",
        "InactiveEnterTimestampMonotonic=1000000", "", "Id=down.service", "ActiveState=failed",
        "ActiveEnterTimestampMonotonic=4000000000", "InactiveEnterTimestampMonotonic=4900000000", "",
        "Id=never.service", "ActiveState=inactive", "ActiveEnterTimestampMonotonic=0",
        "InactiveEnterTimestampMonotonic=0",
    ]  # fmt: skip
    lines = (("slipway", "1"), ("up", "5000"), *(("show", line) for line in shown))
    assert facts_from(tree, HostState("n1"), lines).seconds == {"up.service": 1000.0, "down.service": 100.0}


@pytest.mark.parametrize("line", [("party",), ("slipway", "2"), ("listen", "tcp", "zz:1", "5"), ("holder", "1", "x")])
def test_an_answer_that_the_script_did_not_give_is_refused(line: tuple[str, ...], tree: RenderedTree) -> None:
    with pytest.raises(HostError, match="status: the answer is not understood"):
        facts_from(tree, HostState("n1"), (("slipway", "1"), line))
