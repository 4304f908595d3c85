"""The lab as a whole: what the verbs `lab.*` and the end-to-end tests call.

There is one lab on a machine at a time. Other processes find it through its state file.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import artifacts, images, machine, network, remote, rootfs
from lab.debian import LAB_PACKAGES, install, require_root_on_debian
from lab.errors import LabError
from lab.progress import say, stage
from lab.state import Host, record_hosts, recorded_hosts

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
_MOST_HOSTS = 200
_COPIES_AT_ONCE = 2
_WATCHES = 13
"""How many inotify instances a host takes once it is a node (systemd 5, kubelet 4, four others one each), counted."""


class Lab:
    """The hosts of this machine's lab and what can be done to them.

    Methods that name a host take its name. All raise LabError; nothing waits without a limit.
    """

    @property
    def hosts(self) -> list[Host]:
        """The hosts of the lab, in the order of their addresses."""
        return recorded_hosts()

    def host(self, name: str) -> Host:
        """Return the host with this name."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts) or "none"
        raise LabError(f"no host is named {name}", f"there are: {names}")

    def up(self, count: int, names: Sequence[str] | None = None) -> list[Host]:
        """Bring up the lab with at least this many hosts and return them all.

        Hosts that exist stay as they are, and are started when they are off. New ones are named
        ``names``, else host-1, host-2 and so on.
        """
        require_root_on_debian()
        wanted = list(names) if names else [f"host-{number}" for number in range(1, count + 1)]
        if len(wanted) != count or count > _MOST_HOSTS:
            raise LabError(
                f"{count} hosts with {len(wanted)} names cannot be",
                f"give as many names as hosts, {_MOST_HOSTS} at most",
            )
        install(LAB_PACKAGES)
        rootfs.build()
        hosts = _with_added(self.hosts, wanted)
        record_hosts(hosts)
        _warn_of_watches(len(hosts))
        network.create()
        key = remote.public_key()
        with stage(f"disks of {len(hosts)} hosts"):
            _at_once(lambda host: machine.create_disk(host, key), hosts, _COPIES_AT_ONCE)
        remote.write_known_hosts(hosts)
        with stage(f"booting {len(hosts)} hosts"):
            self.start(*(host.name for host in hosts))
        return hosts

    def start(self, *names: str) -> None:
        """Power hosts on and wait until they have booted."""
        hosts = [self.host(name) for name in names]
        for host in hosts:
            machine.power_on(host)
        _at_once(remote.wait_until_booted, hosts)

    def stop(self, *names: str) -> None:
        """Shut hosts down in good order; their disks stay."""
        _at_once(machine.power_off, [self.host(name) for name in names])

    def power_cut(self, *names: str) -> None:
        """Kill hosts at once, as when the power fails; their disks stay."""
        _at_once(machine.power_cut, [self.host(name) for name in names])

    def restart(self, *names: str) -> None:
        """Shut hosts down and power them on again."""
        self.stop(*names)
        self.start(*names)

    def reset(self, *names: str) -> None:
        """Give hosts pristine disks and new host keys, and boot them."""
        hosts = [self.host(name) for name in names]
        _at_once(machine.power_cut, hosts)
        for host in hosts:
            machine.delete_disk(host)
        key = remote.public_key()
        _at_once(lambda host: machine.create_disk(host, key), hosts, _COPIES_AT_ONCE)
        remote.write_known_hosts(self.hosts)
        self.start(*names)

    def destroy(self, *names: str) -> None:
        """Remove hosts with their disks."""
        gone = [self.host(name) for name in names]
        _at_once(machine.power_cut, gone)
        for host in gone:
            machine.delete_disk(host)
        left = [host for host in self.hosts if host not in gone]
        record_hosts(left)
        remote.write_known_hosts(left)

    def down(self) -> None:
        """Remove all hosts and the lab's network; what is slow to make stays in the cache."""
        require_root_on_debian()
        self.destroy(*(host.name for host in self.hosts))
        network.delete()
        shutil.rmtree(remote.key_path().parent)

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        stdin: str = "",
        timeout: float | None = None,
        check: bool = True,
    ) -> str:
        """Run a command on a host over SSH and return its output; a failure raises LabError."""
        done = remote.run_on(self.host(name), argv, user=user, stdin=stdin, timeout=timeout)
        if check and done.returncode != 0:
            raise LabError(
                f"`{' '.join(argv)}` on {name} failed with exit code {done.returncode}",
                f"it said:\n{(done.stdout + done.stderr).strip()}",
            )
        return done.stdout

    def exec_in_lab_namespace(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float | None = None,
        attached: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine where it reaches the hosts, and return what came of it.

        ``env`` replaces the environment when given; ``timeout`` is in seconds. ``attached`` lets the
        command speak to the terminal itself, and then no output is returned.
        """
        return subprocess.run(
            [*network.entering(network.NAMESPACE), *argv],
            cwd=cwd,
            env=env,
            input=None if attached else stdin,
            capture_output=not attached,
            text=True,
            timeout=timeout,
            check=False,
        )

    def import_images(self, *names: str) -> None:
        """Put the lab's images into containerd of hosts, as a pull from a registry would."""
        archives = images.build()
        for name in names:
            host = self.host(name)
            for archive in archives.values():
                inside = Path("var/tmp") / f"lab-{archive.name}"
                shutil.copyfile(archive, host.root / inside)
                self.run(name, ["ctr", "-n", "k8s.io", "images", "import", f"/{inside}"])
                (host.root / inside).unlink()


def _with_added(existing: Sequence[Host], wanted: Iterable[str]) -> list[Host]:
    """Return the existing hosts and one for each wanted name that is new, at free indexes."""
    hosts = list(existing)
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise LabError(f"{name!r} cannot name a host", "use at most 32 letters, digits and dashes")
        if name not in {host.name for host in hosts}:
            used = {host.index for host in hosts}
            index = next(number for number in range(_MOST_HOSTS) if number not in used)
            hosts.append(Host(name, index))
    return hosts


def _warn_of_watches(hosts: int) -> None:
    """Say so where units and kubelets may fail with "Too many open files": all hosts share what root has."""
    path = Path("/proc/sys/fs/inotify/max_user_instances")
    limit = int(path.read_text()) if path.exists() else 0
    if limit < hosts * _WATCHES:
        say(f"{hosts} nodes need {hosts * _WATCHES} of fs.inotify.max_user_instances, of which there are {limit}")


def _at_once(act: Callable[[Host], None], hosts: Sequence[Host], most: int = _MOST_HOSTS) -> None:
    """Do one thing to several hosts at the same time; the first error is raised after all ended."""
    if not hosts:
        return
    with ThreadPoolExecutor(max_workers=min(most, len(hosts))) as pool:
        for done in [pool.submit(act, host) for host in hosts]:
            done.result()


def up(count: int) -> list[Host]:
    """Bring up this many hosts, and with them artifacts and images; the verb `lab.up`."""
    require_root_on_debian()
    artifacts.build()
    images.build()
    return Lab().up(count)


def status() -> list[tuple[Host, bool]]:
    """Return each host and whether it is on; the verb `lab.status`."""
    return [(host, machine.is_on(host)) for host in Lab().hosts]


def ssh_command(host: str) -> list[str]:
    """Return the command that logs in to a host as root; the verb `lab.ssh`."""
    return remote.ssh_command(Lab().host(host))


def down() -> None:
    """Remove the lab; the verb `lab.down`."""
    Lab().down()
