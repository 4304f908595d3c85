"""A search for secrets where none may be: processes while an install runs, and all that it leaves behind.

The lab's hosts are processes of this machine, so that one look at /proc sees the operator's run and every host, and
/proc/<init>/root is a host's whole file system with its memory-backed folders.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import stat
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from generator.sealing import unseal_file
from generator.sealing.identities import load_identity
from lab.lab import Lab
from tests.lab.cluster_under_test import LabCluster
from tests.lab.session import environment

KEY_BLOCK = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n?", re.DOTALL)
TOKEN = re.compile(rb"\b[a-z0-9]{6}\.([a-z0-9]{16})\b")
SHORTEST_LINE = 40

ALLOWED = (
    # Keys that we made, each of its user alone; the service-account key is shared by the two that sign with it.
    (re.compile(r"/etc/(kubernetes|etcd)/pki/.*\.key"), {0o400, 0o440}),
    # Keys of encryption at rest, of the API server alone.
    (re.compile(r"/etc/kubernetes/encryption\.yaml"), {0o400}),
    # What the kubelet made for itself.
    (re.compile(r"/var/lib/kubelet/pki/kubelet-(client|server)-[0-9-]+\.pem"), {0o600}),
)
"""Where a secret may lie on a host after an install, and with which modes; records hold digests, staging is over."""

SEARCHED = ("/etc", "/var", "/run", "/tmp", "/root", "/home", "/dev/shm", "/usr/local", "/opt")
"""The folders of a host that are read to the last byte; the rest is what it was before."""

_SAMPLE_SECONDS = 0.05
_LOOKS = 5


@dataclass(frozen=True)
class Needles:
    """What to look for: the bytes, and whose they are. A finding tells the latter only."""

    values: Mapping[bytes, str]

    def within(self, text: bytes) -> set[str]:
        """Whose secrets stand in some bytes."""
        return {owner for value, owner in self.values.items() if text.find(value) >= 0}

    def one_line(self) -> str:
        """A line of some private key as a shell takes it; to be planted, which proves that a search can find."""
        lines = (value for value, owner in self.values.items() if owner.startswith("pki/"))
        return next(value for value in lines if re.fullmatch(rb"[A-Za-z0-9+/]{64}", value)).decode()


def needles_of(cluster: LabCluster, tokens: Iterable[bytes]) -> Needles:
    """Every secret of a cluster in the forms in which it could leak."""
    surroundings = environment(cluster.workspace.parent)
    identity = load_identity(surroundings)
    found: dict[bytes, str] = {}
    for path in sorted(cluster.inputs.rglob("*.age")):
        name = str(path.relative_to(cluster.inputs)).removesuffix(".age").removesuffix(".key")
        value = unseal_file(path, identity)
        found.update(dict.fromkeys(key_forms(value) if b"PRIVATE KEY" in value else value_forms(value), name))
    for host in (*cluster.control, *cluster.workers):
        for name in ("client", "server"):
            text = cluster.sh(host, f"cat /var/lib/kubelet/pki/kubelet-{name}-current.pem").encode()
            for block in KEY_BLOCK.findall(text):
                found.update(dict.fromkeys(key_forms(block), f"kubelet {name} of {host}"))
    for token in tokens:
        found[token] = found[token.split(b".")[1]] = "bootstrap token"
    for line in Path(surroundings["SLIPWAY_IDENTITY"]).read_bytes().splitlines():
        if line.startswith(b"AGE-SECRET-KEY-"):
            found[line.strip()] = "identity"
    ssh_lines = Path(surroundings["SLIPWAY_SSH_KEY"]).read_bytes().splitlines()
    # The first line of such a file is the same for every key, the last ones hold the comment; the key is between.
    found.update({line: "SSH key" for line in ssh_lines[2:-2] if len(line) >= SHORTEST_LINE})
    return Needles(found)


def key_forms(pem: bytes) -> set[bytes]:
    """A private key as lines of its PEM, as DER in hexadecimal and base64, as the bare number."""
    key = load_pem_private_key(pem, None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    lines = [line.strip() for line in pem.splitlines() if not line.startswith(b"-----")]
    forms = {der, der.hex().encode(), der.hex().upper().encode(), base64.b64encode(der)}
    if isinstance(key, EllipticCurvePrivateKey):
        number = key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")
        forms |= value_forms(number)
        # The end of such a key is its public half, which stands in certificates too.
        end = der.index(number) + len(number)
        lines = lines[: (end * 4 // 3) // len(lines[0]) + 1] if len(lines) > 1 else lines
    return forms | {line for line in lines if len(line) >= SHORTEST_LINE}


def value_forms(value: bytes) -> set[bytes]:
    """A secret value as it is, in base64 and in hexadecimal; one that is base64 also as what it stands for."""
    value = value.strip()
    forms = {value, base64.b64encode(value), value.hex().encode(), value.hex().upper().encode()}
    with contextlib.suppress(ValueError):
        forms.add(base64.b64decode(value, validate=True))
    return {form for form in forms if len(form) >= 16}


class InstallWatch:
    """Looks at the command line and environment of every process, many times a second, for as long as a block lasts.

    `tokens`: the bootstrap tokens that were on their way to hosts meanwhile. `home` and `temporary` are folders for
    the operator's run, so that what it leaves in either is seen.
    """

    def __init__(self, hosts: Lab, cluster: LabCluster) -> None:
        self.tokens: set[bytes] = set()
        self.seen: dict[bytes, str] = {}
        self._inits = [init_of(hosts, host) for host in (*cluster.control, *cluster.workers)]
        self._looks: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="install watch", daemon=True)
        folder = cluster.workspace.parent
        self.home, self.temporary = folder / "operator-home", folder / "operator-tmp"
        for place in (self.home, self.temporary):
            place.mkdir(exist_ok=True)

    @property
    def surroundings(self) -> dict[str, str]:
        """What to add to the environment of the run that is watched."""
        return {"HOME": str(self.home), "TMPDIR": str(self.temporary)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def clear(self) -> None:
        """Forget what was seen."""
        self.seen.clear()

    def findings(self, needles: Needles) -> list[str]:
        """Each process that had a secret on its command line or in its environment, and whose it was."""
        return sorted(f"{where}: {owner}" for text, where in self.seen.items() for owner in needles.within(text))

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            present = [name for name in os.listdir("/proc") if name.isdigit()]
            # A process is looked at some times, as it changes by exec soon after its birth; a number that is gone is
            # forgotten, as it will be given to another.
            self._looks = {name: self._looks.get(name, 0) for name in present}
            for name in present:
                if self._looks[name] < _LOOKS:
                    self._looks[name] += 1
                    self._look(name)
            for init in self._inits:
                for path in Path(f"/proc/{init}/root/run/slipway").glob("*"):
                    with contextlib.suppress(OSError):
                        self.tokens.update(match.group() for match in TOKEN.finditer(path.read_bytes()))

    def _look(self, process: str) -> None:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes()
            program = words.split(b"\0")[0].decode(errors="replace")
            self.seen.setdefault(words, f"command line of {program}")
            self.seen.setdefault(Path(f"/proc/{process}/environ").read_bytes(), f"environment of {program}")


def init_of(hosts: Lab, name: str) -> int:
    """The process on this machine that is a host's init."""
    disk = hosts.host(name).root / "etc" / "machine-id"
    for process in (entry for entry in os.listdir("/proc") if entry.isdigit()):
        with contextlib.suppress(OSError):
            numbers = re.search(r"^NSpid:\t(.*)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
            if not numbers or numbers.group(1).split()[1:] != ["1"]:
                continue
            if Path(f"/proc/{process}/root/etc/machine-id").read_bytes() == disk.read_bytes():
                return int(process)
    raise AssertionError(f"{name} is not on")


def on_host(hosts: Lab, name: str, needles: Needles, folders: Iterable[str] = SEARCHED) -> list[str]:
    """Each file of a host in which a secret lies and may not, or with another mode than it may."""
    root = Path(f"/proc/{init_of(hosts, name)}/root")
    findings = []
    for path, owners in in_files((root / folder.lstrip("/") for folder in folders), needles):
        inside = f"/{path.relative_to(root)}"
        mode = stat.S_IMODE(path.stat().st_mode)
        if not any(place.fullmatch(inside) and mode in modes for place, modes in ALLOWED):
            findings.append(f"{name}: {inside} (mode {mode:04o}): {', '.join(sorted(owners))}")
    return findings


def in_journal(cluster: LabCluster, name: str, needles: Needles) -> list[str]:
    """Whose secrets the journal of a host holds; it is asked for, as its files are compressed in part."""
    text = base64.b64decode(cluster.sh(name, "journalctl --no-pager --all --output=cat | base64 -w 0"))
    assert len(text) > 1000, f"{name} has no journal"
    return [f"{name}: journal: {owner}" for owner in sorted(needles.within(text))]


def in_files(folders: Iterable[Path], needles: Needles, newer: float = 0.0) -> Iterator[tuple[Path, set[str]]]:
    """Files below some folders that hold secrets, and whose; `newer`: only what was written since (seconds, 1970)."""
    paths = [path for folder in folders for path in _files(folder, newer)]
    for path in _suspects(paths, needles):
        with contextlib.suppress(OSError):  # gone meanwhile
            if owners := needles.within(path.read_bytes()):
                yield path, owners


def _files(folder: Path, newer: float) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for path in (Path(where, name) for name in names):
            with contextlib.suppress(OSError):
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode) and facts.st_size and facts.st_mtime >= newer:
                    yield path


def _suspects(paths: Iterable[Path], needles: Needles) -> list[Path]:
    """Files in which a line of a secret stands; grep looks for hundreds of them in one pass, which Python does not.

    What grep is to find is in memory only, and its name for it is that of an open file.
    """
    patterns = os.memfd_create("patterns")
    try:
        lines = {max(value.split(b"\n"), key=len) for value in needles.values}
        os.write(patterns, b"".join(line + b"\n" for line in lines))
        found = subprocess.run(
            ["xargs", "-0", "-r", "grep", "-l", "-a", "-F", "-Z", "-s", "-f", f"/proc/self/fd/{patterns}", "--"],
            input=b"".join(os.fsencode(path) + b"\0" for path in paths),
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=(patterns,),
            capture_output=True,
            check=False,
        )
    finally:
        os.close(patterns)
    # 123: grep found nothing in one of its rounds, or could not read a file that is gone.
    assert found.returncode in (0, 123), found.stderr
    return [Path(os.fsdecode(name)) for name in found.stdout.split(b"\0") if name]
