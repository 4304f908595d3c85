"""Faults of hosts, networks and operators, each taken back at the end of its block; the product is as it is."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import network
from tests.lab.cluster_under_test import REPOSITORY, Completed, LabCluster, until
from tests.lab.session import environment

QUICK = {"SLIPWAY_SSH_CONNECT_SECONDS": "3", "SLIPWAY_SSH_SILENT_SECONDS": "8"}
"""An operator in a hurry."""
VERBOSITIES = (4, 5, 6)
"""Values of `v` that no other test gives to a whole cluster, so that each of them is a change for the host."""
SSH_SESSIONS = "sshd: root@notty"
HELD = "/run/systemd/system/{unit}.d/50-held.conf"
HOLD = "/run/held-by-a-test"


def verb(lab: LabCluster, *words: str) -> Completed:
    """Run a verb as an operator in a hurry does."""
    return lab.invoke(*words, environment=QUICK)


_RUNNING: list[subprocess.Popen[str]] = []


class Running:
    """A verb on its way, in a process group of its own; `machine` is another operator's, by its host name.

    A `patient` operator has set nothing.
    """

    def __init__(self, lab: LabCluster, *words: str, machine: str = "", patient: bool = False) -> None:
        invoke = [str(Path(sys.executable).with_name("invoke")), "--search-root", str(REPOSITORY)]
        elsewhere = ["unshare", "--uts", "sh", "-c", f'hostname {machine} && exec "$@"', "sh"] if machine else []
        self._errors = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*network.entering(network.NAMESPACE), *elsewhere, *invoke, *words, "--cluster", lab.name],
            env={**environment(lab.workspace.parent), **({} if patient else QUICK)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        _RUNNING.append(self._process)

    @property
    def told(self) -> str:
        """What it has said so far on standard error."""
        return Path(self._errors.name).read_text()

    def ended(self, seconds: float = 240) -> Completed:
        """Wait for the verb to end by itself."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.power_off()
            raise
        told = self.told
        self._errors.close()
        return subprocess.CompletedProcess(self._process.args, code, "", told)

    def power_off(self) -> None:
        """Kill it with all that it started, as when the power fails."""
        _end(self._process)
        self._errors.close()


def end_all() -> None:
    """Kill what a test that failed has left running."""
    while _RUNNING:
        _end(_RUNNING.pop())


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def change(lab: LabCluster, component: str, hosts: Sequence[str], flag: str = "v", value: Any = None) -> None:
    """Give hosts another value of a flag, the next of VERBOSITIES where none is named; rendered and committed."""

    def edit(spec: dict[str, Any]) -> None:
        for host in hosts:
            flags = spec["hosts"][host].setdefault("components", {}).setdefault(component, {}).setdefault("flags", {})
            if value is None:
                now = flags.get(flag, VERBOSITIES[-1])
                flags[flag] = VERBOSITIES[(VERBOSITIES.index(now) + 1) % len(VERBOSITIES)]
            else:
                flags[flag] = value

    rendered(lab, edit)


def rendered(lab: LabCluster, edit: Callable[[dict[str, Any]], object]) -> None:
    lab.edit_spec(edit)
    done = lab.invoke("render")
    assert done.returncode == 0, done.stdout + done.stderr
    lab.commit("a change")


def take_back(lab: LabCluster) -> None:
    """Undo the last change as an operator does, by reverting its commit."""
    lab.git("revert", "--no-edit", "HEAD")


def converge(lab: LabCluster) -> Completed:
    """Run the same command again, and once more to see that nothing is left to do."""
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    return lab.invoke("plan") if done.returncode == 0 else done


def put_back(lab: LabCluster, commit: str) -> None:
    """Bring spec and hosts back to a commit, whatever a test that failed left behind."""
    lab.git("checkout", commit, "--", ".")
    lab.commit("back")
    assert converge(lab).returncode == 0, "the cluster is not what it was before the test"


# --- the network ------------------------------------------------------------------------------------------------------


def _in_lab(*words: str) -> None:
    subprocess.run([*network.entering(network.NAMESPACE), *words], check=True, capture_output=True)


@contextmanager
def cut_off(lab: LabCluster, host: str, how: str) -> Iterator[None]:
    """Keep the operator's machine from a host's sshd: `drop` is silent, `reset` tears connections down."""
    address = lab.addresses[host]
    rules = [["OUTPUT", "-d", address, "-p", "tcp", "--dport", "22", "-j"]]
    if how == "drop":
        rules.append(["INPUT", "-s", address, "-p", "tcp", "--sport", "22", "-j"])
    target = {"drop": ["DROP"], "reset": ["REJECT", "--reject-with", "tcp-reset"]}[how]
    for rule in rules:
        _in_lab("iptables", "-I", *rule, *target)
    try:
        yield
    finally:
        for rule in rules:
            _in_lab("iptables", "-D", *rule, *target)


@contextmanager
def slow_line(lab: LabCluster, host: str) -> Iterator[None]:
    """Leave a host 20 Mbit/s of the way to it."""
    port = f"host{int(lab.addresses[host].rpartition('.')[2])}"
    _in_lab("tc", "qdisc", "add", "dev", port, "root", "tbf", "rate", "20mbit", "burst", "64kb", "latency", "400ms")
    try:
        yield
    finally:
        _in_lab("tc", "qdisc", "del", "dev", port, "root")


# --- the host ---------------------------------------------------------------------------------------------------------


def kill_sessions(lab: LabCluster, host: str) -> None:
    """Kill sshd's processes of all connections to a host."""
    lab.try_sh(host, f"pkill -KILL -f {shlex.quote(SSH_SESSIONS)}")


def freeze_sessions(lab: LabCluster, host: str, seconds: int) -> None:
    """Stop sshd on a host, present connections included, and let it go on after some seconds."""
    stop = f"pkill -STOP sshd; sleep {seconds}; pkill -CONT sshd"
    lab.try_sh(host, f"systemd-run --quiet --collect sh -c {shlex.quote(stop)}")
    time.sleep(0.5)


@contextmanager
def held_start(lab: LabCluster, host: str, unit: str) -> Iterator[None]:
    """Let a unit wait with its start until `release`, so that something can happen meanwhile."""
    path = HELD.format(unit=unit)
    wait = f"/bin/sh -c 'while test -e {HOLD}; do sleep 0.2; done'"
    text = f"[Service]\nTimeoutStartSec=600\nExecStartPre={wait}\n"
    lab.sh(
        host,
        f"mkdir -p {Path(path).parent} && printf '%s' {shlex.quote(text)} >{path} && touch {HOLD}"
        " && systemctl daemon-reload",
    )
    try:
        yield
    finally:
        release(lab, host)
        lab.sh(host, f"rm -f {path} && systemctl daemon-reload")


def release(lab: LabCluster, host: str) -> None:
    """Let what is held start, as soon as the host answers."""
    until(lambda: lab.try_sh(host, f"rm -f {HOLD}").returncode == 0, 120)


def wait_for_start(lab: LabCluster, host: str, unit: str) -> None:
    """Wait until a unit that is held is being started."""
    deadline = time.monotonic() + 90
    while lab.try_sh(host, f"systemctl is-active {unit}").stdout.strip() != "activating":
        assert time.monotonic() < deadline, f"{unit} on {host} was never started"
        time.sleep(0.2)


@contextmanager
def small_disk(lab: LabCluster, host: str, folder: str, spare_kib: int) -> Iterator[None]:
    """Put a file system of its own over a folder, with the folder's content and little more room."""
    disk = "/mnt/small-disk"
    lab.sh(
        host,
        f"set -e; mkdir -p {disk}; mount -t tmpfs -o mode=0700,size=64m tmpfs {disk}; cp -a {folder}/. {disk}/;"
        f" used=$(df -k --output=used {disk} | tail -n 1); mount -o remount,size=$((used + {spare_kib}))k {disk};"
        f" chmod --reference={folder} {disk}; chown --reference={folder} {disk}; mount --bind {disk} {folder}",
    )
    try:
        yield
    finally:
        lab.sh(host, f"umount {folder} && umount {disk}")


@contextmanager
def read_only(lab: LabCluster, host: str, folder: str) -> Iterator[None]:
    """Make a folder unwritable, as the kernel does with a file system that has errors."""
    lab.sh(host, f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}")
    try:
        yield
    finally:
        lab.sh(host, f"umount {folder}")


@contextmanager
def wrong_clock(lab: LabCluster, host: str, seconds: int) -> Iterator[None]:
    """Let a host's clock run behind for whoever asks `date`; the hosts of a lab share the machine's own clock."""
    path = "/usr/local/bin/date"
    text = f'#!/bin/sh\ncase $* in +%s) echo $(($(/bin/date +%s) - {seconds})) ;; *) exec /bin/date "$@" ;; esac\n'
    lab.sh(host, f"test ! -e {path} && printf '%s' {shlex.quote(text)} >{path} && chmod 0755 {path}")
    try:
        yield
    finally:
        lab.sh(host, f"rm -f {path}")


def boot_anew(lab: LabCluster, host: str) -> None:
    """Boot a host anew without a word to anybody."""
    lab.try_sh(host, "systemctl --no-block reboot")


def wait_for_boot(lab: LabCluster, host: str, before: str) -> None:
    """Wait until a host whose systemd started at `before` has booted anew."""
    until(lambda: started(lab, host) not in {before, ""}, 180)


def started(lab: LabCluster, host: str) -> str:
    """When the host's systemd started."""
    return lab.try_sh(host, "stat -c %Y /proc/1").stdout.strip()


# --- the lock ---------------------------------------------------------------------------------------------------------


def age_lock(lab: LabCluster, seconds: int) -> None:
    """Set the time at which the lock's holder was last heard of back, on all hosts that carry it."""
    for host in lab.control:
        lab.sh(host, f"touch -d '{seconds} seconds ago' /var/lib/slipway/lock/renewed")


def locked(lab: LabCluster) -> bool:
    return any(lab.try_sh(host, "test -e /var/lib/slipway/lock").returncode == 0 for host in lab.control)
