"""The first way into hosts that know only a password: a real sshd, a real login, and the operator's key."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.cluster import lab_spec, write_spec
from tests.lab.cluster_under_test import REPOSITORY, Completed, LabCluster

pytestmark = pytest.mark.lab

LOGIN = "visitor"
PASSWORD = "correct horse: 'battery' $taple"
SSHD = "/etc/ssh/sshd_config.d/10-visitor.conf"


class Hosts:
    """Workers of the lab with a login that knows only a password, as a cluster of its own in another workspace."""

    def __init__(self, lab: LabCluster, folder: Path) -> None:
        self.lab = lab
        self.root = folder / "workspace"
        self.names = tuple(lab.workers[:2])
        self.key = folder / "id"
        spec = lab_spec(
            "access",
            control={self.names[0]: lab.addresses[self.names[0]]},
            workers={host: lab.addresses[host] for host in self.names[1:]},
            versions=yaml.safe_load((lab.inputs / "cluster.yaml").read_text())["versions"],
            ssh_user=LOGIN,
        )
        write_spec(self.root / "clusters/access/cluster.yaml", spec)
        for name in ("recipients.txt", "artifacts.lock", "known_hosts"):
            (self.root / "clusters/access" / name).write_bytes((lab.inputs / name).read_bytes())
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        (folder / "password").write_text(f"{PASSWORD}\n")
        (folder / "wrong").write_text("not this one\n")

    def invoke(self, *words: str, stdin: str = "/dev/null") -> Completed:
        """Run a verb on the cluster `access` with a file as its standard input."""
        invoke = [str(Path(sys.executable).with_name("invoke")), "--search-root", str(REPOSITORY), *words]
        command = f"exec {shlex.join([*invoke, '--cluster', 'access'])} <{shlex.quote(stdin)}"
        return self.lab.in_lab(
            ["sh", "-c", command], {"SLIPWAY_ROOT": str(self.root), "SLIPWAY_SSH_KEY": str(self.key)}
        )

    def authorize(self, *words: str, password: str = "password") -> Completed:
        file = str(self.root.parent / password)
        return self.invoke("hosts.authorize", "--password-stdin", *words, stdin=file)

    def states(self, done: Completed) -> dict[str, str]:
        return {one["host"]: one["state"] for one in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def hosts(lab: LabCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    made = Hosts(lab, tmp_path_factory.mktemp("access"))
    crypt = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, check=True, capture_output=True, text=True
    ).stdout.strip()
    for host in made.names:
        lab.sh(
            host,
            f"useradd --create-home --shell /bin/sh --password {shlex.quote(crypt)} {LOGIN} &&"
            f" printf '%s\\n' 'Match User {LOGIN}' '  PasswordAuthentication yes' >{SSHD} &&"
            " systemctl reload ssh",
        )
    rendered = made.invoke("render")
    assert rendered.returncode == 0, rendered.stderr
    yield made
    for host in made.names:
        lab.sh(host, f"rm -f {SSHD}; systemctl reload ssh; userdel --force --remove {LOGIN} 2>/dev/null || true")


def test_a_dry_run_says_who_would_get_the_key(hosts: Hosts) -> None:
    done = hosts.authorize("--dry-run", "--json")
    assert done.returncode == 2, done.stderr
    assert set(hosts.states(done).values()) == {"would ask"}


def test_a_wrong_password_is_named_for_each_host_and_not_shown(hosts: Hosts) -> None:
    done = hosts.authorize(password="wrong")
    assert done.returncode == 1
    for host in hosts.names:
        assert f"access/{host}: ssh: the password of {LOGIN}@{hosts.lab.addresses[host]} is refused" in done.stdout
        assert hosts.lab.try_sh(host, f"ls ~{LOGIN}/.ssh").returncode != 0
    assert "not this one" not in done.stdout + done.stderr


def test_without_a_terminal_nothing_waits(hosts: Hosts) -> None:
    done = hosts.invoke("hosts.authorize")
    assert done.returncode == 1
    assert "there is no terminal to ask on" in done.stderr


def test_one_password_puts_the_key_on_every_host(hosts: Hosts) -> None:
    first = hosts.names[0]
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw colleague"
    as_login = f"runuser -u {LOGIN} -- sh -c"
    hosts.lab.sh(first, f"{as_login} 'umask 022; mkdir ~/.ssh; printf %s \"{other}\" >~/.ssh/authorized_keys'")
    done = hosts.authorize("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert hosts.states(done) == dict.fromkeys(hosts.names, "authorized")
    assert PASSWORD not in done.stdout + done.stderr
    public = Path(f"{hosts.key}.pub").read_text()
    for host in hosts.names:
        facts = hosts.lab.sh(host, f"cd ~{LOGIN}/.ssh && stat -c '%n %a %U' . authorized_keys && ls -A")
        assert facts.splitlines() == [f". 700 {LOGIN}", f"authorized_keys 600 {LOGIN}", "authorized_keys"]
        kept = f"{other}\n" if host == first else ""
        assert hosts.lab.sh(host, f"cat ~{LOGIN}/.ssh/authorized_keys") == kept + public


def test_where_the_key_opens_nothing_is_asked_or_done(hosts: Hosts) -> None:
    seen = [hosts.lab.sh(host, f"stat -c %Y.%i ~{LOGIN}/.ssh/authorized_keys") for host in hosts.names]
    done = hosts.invoke("hosts.authorize", "--json")
    assert done.returncode == 0, done.stderr
    assert hosts.states(done) == dict.fromkeys(hosts.names, "opens already")
    assert [hosts.lab.sh(host, f"stat -c %Y.%i ~{LOGIN}/.ssh/authorized_keys") for host in hosts.names] == seen


def test_sshd_that_asks_by_keyboard_is_answered(hosts: Hosts) -> None:
    host = hosts.names[1]
    hosts.lab.sh(
        host,
        f"rm ~{LOGIN}/.ssh/authorized_keys; sed -i 's/Password.*/PasswordAuthentication no\\n"
        f"  KbdInteractiveAuthentication yes/' {SSHD}; systemctl reload ssh",
    )
    done = hosts.authorize("--limit", host, "--json")
    assert hosts.states(done) == {host: "authorized"}, done.stdout


def test_a_host_whose_key_is_unknown_never_sees_the_password(hosts: Hosts) -> None:
    known = hosts.root / "clusters/access/known_hosts"
    text = known.read_text()
    host = hosts.names[0]
    address = hosts.lab.addresses[host]
    try:
        known.write_text("".join(f"{line}\n" for line in text.splitlines() if not line.startswith(f"{address} ")))
        done = hosts.authorize("--limit", host)
    finally:
        known.write_text(text)
    assert done.returncode == 1
    assert f"access/{host}: ssh: the key of {address} is not known; run `invoke hosts.scan`" in done.stdout
