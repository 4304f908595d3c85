"""A farm of targets on this machine: each with an sshd, a network namespace and a root of its own.

The roots are overlays on the lab's bare host, so that two hundred of them take little room. Nothing boots in them:
`systemctl` is a script that does nothing and says of every unit that it runs. Debian's Python is added, which Ansible
needs on a target. All namespaces begin with "bench", and no address exists outside of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measuring import BenchError
from bench.peers import work_folder
from lab import rootfs
from lab.cache import entry_path, made_whole
from lab.command import run, succeeds
from lab.debian import LAB_PACKAGES, fetch_binary_packages, install, require_root_on_debian
from lab.network import entering, namespace_path

NAMESPACE = "bench"
NETWORK = IPv4Network("10.87.0.0/16")
_BRIDGE = "bench0"
_FIRST = 257
_PYTHON = (
    "python3",
    "python3-minimal",
    "python3.11",
    "python3.11-minimal",
    "libpython3-stdlib",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libexpat1",
    "libffi8",
)
_NO_SYSTEMCTL = """\
#!/bin/sh
# Stands in for systemd on a target of the farm: does nothing, and says of every unit that it runs.
[ "$1" = show ] || exit 0
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
shift
for unit; do
    case $unit in *.timer | *.path) sub=waiting ;; *) sub=running ;; esac
    printf '%s\\n' "Id=$unit" LoadState=loaded ActiveState=active "SubState=$sub" UnitFileState=enabled NRestarts=0 \
        Type=simple NeedDaemonReload=no ""
done
"""


@dataclass(frozen=True, slots=True)
class Target:
    """One target; `root` is its root file system, writable from here."""

    name: str
    address: IPv4Address
    folder: Path
    host_key: str

    @property
    def root(self) -> Path:
        """The mounted root file system."""
        return self.folder / "root"


class Farm:
    """Targets that run; `key` opens root on each, `known_hosts` holds their host keys."""

    def __init__(self, folder: Path, targets: Sequence[Target], key: Path, known_hosts: Path) -> None:
        self.folder = folder
        self.targets = tuple(targets)
        self.key = key
        self.known_hosts = known_hosts

    def inside(self, argv: Sequence[str | Path]) -> list[str]:
        """Return a command as it runs where the targets are neighbours."""
        return [*entering(NAMESPACE), *(str(word) for word in argv)]


@contextmanager
def farm(count: int) -> Iterator[Farm]:
    """Bring up this many targets for the length of a block; what an earlier run left is taken down first."""
    require_root_on_debian()
    install(LAB_PACKAGES)
    layers = (_layer(), rootfs.build())
    folder = work_folder("farm")
    take_down(folder)
    key = folder / "id_ed25519"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway-bench", "-f", key])
    try:
        targets = [
            _disk(folder / f"{NAMESPACE}-{number:03d}", NETWORK[_FIRST + number], layers, key)
            for number in range(1, count + 1)
        ]
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("".join(f"{target.address} {target.host_key}\n" for target in targets))
        _network(targets)
        servers = [_serve(target) for target in targets]
        (folder / "servers").write_text("".join(f"{server.pid}\n" for server in servers))
        made = Farm(folder, targets, key, known_hosts)
        _wait(made)
        yield made
    finally:
        take_down(folder)


def take_down(folder: Path) -> None:
    """End the servers of a farm, and remove its namespaces, mounts and files; twice does no harm."""
    for word in (folder / "servers").read_text().split() if (folder / "servers").is_file() else ():
        with contextlib.suppress(OSError):
            if b"sshd" in Path(f"/proc/{word}/cmdline").read_bytes():
                os.killpg(int(word), signal.SIGKILL)
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(f"{folder}/"):
            run(["umount", "-l", place])
    for path in sorted(Path("/run/netns").glob(f"{NAMESPACE}*")):
        if path.name == NAMESPACE or path.name.startswith(f"{NAMESPACE}-"):
            succeeds(["ip", "netns", "del", path.name])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def _layer() -> Path:
    """Return the folder with what lies over the lab's bare host on every target, made unless the cache has it."""
    ready = entry_path("bench-layer", (_PYTHON, _NO_SYSTEMCTL, rootfs.base_path().name))
    if not ready.exists():
        with made_whole(ready) as layer, TemporaryDirectory() as debs:
            for package in fetch_binary_packages(_PYTHON, Path(debs)):
                run(["dpkg-deb", "-x", package, layer])
            # The bare host has links for these folders; a folder of the layer must not hide them.
            for name in ("lib", "bin", "sbin", "lib64"):
                if (layer / name).is_dir():
                    shutil.copytree(layer / name, layer / "usr" / name, dirs_exist_ok=True, symlinks=True)
                    shutil.rmtree(layer / name)
            systemctl = layer / "usr/bin/systemctl"
            systemctl.write_text(_NO_SYSTEMCTL)
            systemctl.chmod(0o755)
            (layer / "run/sshd").mkdir(parents=True)
            os.chmod(layer, 0o755)
    return ready


def _disk(folder: Path, address: IPv4Address, layers: Sequence[Path], key: Path) -> Target:
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    words = f"lowerdir={':'.join(map(str, layers))},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    if not succeeds(["mount", "-t", "overlay", "overlay", "-o", words, folder / "root"]):
        raise BenchError(f"{folder}: no overlay can be mounted here; point SLIPWAY_CACHE at a real file system")
    root = folder / "root"
    run(["mount", "-t", "proc", "proc", root / "proc"])
    (root / "etc/hostname").write_text(f"{folder.name}\n")
    authorized = root / "root/.ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700, exist_ok=True)
    authorized.write_text(key.with_suffix(".pub").read_text())
    authorized.chmod(0o600)
    host_key = root / "etc/ssh/ssh_host_ed25519_key"
    host_key.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", folder.name, "-f", host_key])
    public = " ".join(host_key.with_suffix(".pub").read_text().split()[:2])
    return Target(folder.name, address, folder, public)


def _network(targets: Sequence[Target]) -> None:
    """Make a bridge in a namespace of its own and plug each target into it."""
    run(["ip", "netns", "add", NAMESPACE])
    batch = [
        "link set lo up",
        f"link add {_BRIDGE} type bridge",
        f"addr add {NETWORK[1]}/{NETWORK.prefixlen} dev {_BRIDGE}",
        f"link set {_BRIDGE} up",
    ]
    for number, target in enumerate(targets):
        run(["ip", "netns", "add", target.name])
        batch.append(f"link add port{number} type veth peer name eth0 netns {target.name}")
        batch.append(f"link set port{number} master {_BRIDGE} up")
    run(["ip", "-n", NAMESPACE, "-batch", "-"], stdin="\n".join(batch) + "\n")
    for target in targets:
        lines = ["link set lo up", f"addr add {target.address}/{NETWORK.prefixlen} dev eth0", "link set eth0 up"]
        run(["ip", "-n", target.name, "-batch", "-"], stdin="\n".join(lines) + "\n")


def _serve(target: Target) -> subprocess.Popen[bytes]:
    assert namespace_path(target.name).exists()
    log = (target.folder / "sshd.log").open("wb")
    return subprocess.Popen(
        [
            *(*entering(target.name), "chroot", str(target.root), "/usr/sbin/sshd", "-D", "-e"),
            *("-o", "HostKey=/etc/ssh/ssh_host_ed25519_key", "-o", "UsePAM=no"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _wait(made: Farm) -> None:
    """Wait until every server shows its greeting."""
    script = (
        'for a; do n=0; until exec 3<>"/dev/tcp/$a/22"; do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done; done'
    )
    addresses = [str(target.address) for target in made.targets]
    if not succeeds(made.inside(["bash", "-c", f"{{ {script}; }} 2>/dev/null", "bash", *addresses])):
        raise BenchError(f"an sshd of the farm does not answer; read {made.folder}/*/sshd.log")
