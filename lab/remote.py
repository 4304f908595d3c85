"""Commands on lab hosts over SSH, with a key made for this lab outside any repository."""

import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lab import network
from lab.cache import lab_root
from lab.command import run
from lab.errors import LabError
from lab.machine import host_public_keys, is_on
from lab.state import Host


def key_path() -> Path:
    """Return the private key that opens root and ops on every host, made when it is missing."""
    path = lab_root() / "ssh" / "id_ed25519"
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway-lab", "-f", path])
    return path


def public_key() -> str:
    """Return the public half of the lab's key as one line."""
    return key_path().with_suffix(".pub").read_text()


def known_hosts_path() -> Path:
    """Return the file that names the host keys of this lab."""
    return lab_root() / "ssh" / "known_hosts"


def write_known_hosts(hosts: Sequence[Host]) -> None:
    """Write the host keys as the lab made them, so that no first connection is taken on trust."""
    key_path()
    lines = [f"{host.address} {key}\n" for host in hosts for key in host_public_keys(host)]
    known_hosts_path().write_text("".join(lines))


def ssh_command(host: Host, user: str = "root") -> list[str]:
    """Return the command that logs in to a host; words added to it run there."""
    return [
        *network.entering(network.NAMESPACE),
        "ssh",
        *("-F", "none"),
        *("-i", str(key_path())),
        *("-o", f"UserKnownHostsFile={known_hosts_path()}"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "IdentitiesOnly=yes"),
        *("-o", "ConnectTimeout=3"),
        *("-o", "LogLevel=ERROR"),
        f"{user}@{host.address}",
    ]


def run_on(
    host: Host,
    argv: Sequence[str],
    *,
    user: str = "root",
    stdin: str = "",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command on a host and return exit code, output and errors; ``timeout`` in seconds."""
    return subprocess.run(
        [*ssh_command(host, user), "--", shlex.join(argv)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def wait_until_booted(host: Host, seconds: float = 120) -> None:
    """Wait until a host's sshd answers and systemd has started what it starts at boot."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_on(host):
            raise LabError(f"{host.name} went off while it booted", f"read {host.console}")
        # Not --wait: an etcd without its quorum starts for ever, and with it the boot.
        asked = run_on(host, ["systemctl", "is-system-running"], timeout=20)
        if asked.stdout.strip() in ("running", "degraded"):
            return
        time.sleep(0.5)
    raise LabError(f"{host.name} did not boot within {seconds:.0f} s", f"read {host.console}")
