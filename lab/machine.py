"""One host as a machine: its disk, and its power."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab import cgroups, network, rootfs
from lab.command import run
from lab.errors import LabError
from lab.state import Host

_KEY_TYPES = ("ed25519", "ecdsa")
_SHUTDOWN_SECONDS = 90.0


def create_disk(host: Host, authorized_key: str) -> None:
    """Copy the pristine root file system for a host and give it an identity of its own."""
    if host.root.exists():
        return
    host.folder.mkdir(parents=True, exist_ok=True)
    fresh = host.folder / "root.new"
    shutil.rmtree(fresh, ignore_errors=True)
    run(["cp", "-a", "--reflink=auto", rootfs.base_path(), fresh])
    _identify(host, fresh)
    _authorize(fresh, authorized_key)
    fresh.rename(host.root)


def _identify(host: Host, root: Path) -> None:
    """Write what tells a host from its copies: name, machine id, SSH host keys."""
    (root / "etc/hostname").write_text(f"{host.name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {host.name}\n")
    (root / "etc/resolv.conf").write_text(f"nameserver {network.GATEWAY}\n")
    (root / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
    for kind in _KEY_TYPES:
        path = root / f"etc/ssh/ssh_host_{kind}_key"
        run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", host.name, "-f", path])


def _authorize(root: Path, authorized_key: str) -> None:
    """Let one public key log in as root and as ops."""
    for home, owner in ((root / "root", "root"), (root / "home/ops", "ops")):
        folder = home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "authorized_keys").write_text(authorized_key)
        (folder / "authorized_keys").chmod(0o600)
        inside = f"/{folder.relative_to(root)}"
        run(["chroot", root, "chown", "-R", f"{owner}:{owner}", inside])


def host_public_keys(host: Host) -> list[str]:
    """Return the public SSH host keys of a host as `type base64`."""
    paths = sorted((host.root / "etc/ssh").glob("ssh_host_*_key.pub"))
    return [" ".join(path.read_text().split()[:2]) for path in paths]


def delete_disk(host: Host) -> None:
    """Remove a host's disk, console log and all; it must be off."""
    if is_on(host):
        raise LabError(f"{host.name} is on", "stop it first")
    shutil.rmtree(host.folder, ignore_errors=True)


_STARTED: list[subprocess.Popen[bytes]] = []
"""Supervisors that this process started. They outlive it on purpose, and Python warns when the last reference to a
running child goes."""


def is_on(host: Host) -> bool:
    """Return whether a host is powered."""
    return _supervisor(host) is not None


def power_on(host: Host) -> None:
    """Start a host and return at once; nothing happens when it is on."""
    if is_on(host):
        return
    clear_remains(host)
    packages = Path(__file__).resolve().parent.parent
    words = [host.name, str(host.address), str(host.root)]
    with host.console.open("ab") as console:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "lab.supervisor", *words],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(packages)},
        )
    _pid_file(host).write_text(str(supervisor.pid))
    _STARTED.append(supervisor)
    # The kernel shows a program's words a moment after it has taken it: until then the host would seem to be off.
    while not is_on(host) and supervisor.poll() is None:
        time.sleep(0.01)


def power_off(host: Host) -> None:
    """Shut a host down in good order and wait for it; pull the plug when that takes too long."""
    supervisor = _supervisor(host)
    if supervisor is not None:
        os.kill(supervisor, signal.SIGTERM)
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        while _supervisor(host) is not None and time.monotonic() < deadline:
            time.sleep(0.2)
    power_cut(host)


def power_cut(host: Host) -> None:
    """Kill everything on a host at once, as when the power fails; its disk stays as it is."""
    supervisor = _supervisor(host)
    if supervisor is not None:
        os.kill(supervisor, signal.SIGKILL)
    clear_remains(host)


def clear_remains(host: Host) -> None:
    """Remove the processes, cgroups and network of a host that is off."""
    cgroups.kill(host.name)
    cgroups.remove(host.name)
    network.detach(host.name)
    _pid_file(host).unlink(missing_ok=True)


def _pid_file(host: Host) -> Path:
    return host.folder / "supervisor.pid"


def _supervisor(host: Host) -> int | None:
    """Return the process id of the host's supervisor if it really is that and lives."""
    try:
        process = int(_pid_file(host).read_text())
        words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return process if "lab.supervisor" in words and host.name in words and state != "Z" else None
