"""A project on a virtual machine: released by SSH to a host with systemd, as a user with a few commands of sudo."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.cluster_under_test import Completed, LabCluster

pytestmark = pytest.mark.lab

HOST = "w3"
"""It belongs to no cluster."""
PORT = 18080
GREETING = 'say "x" $HOME `id` \\ it\'s'
SERVER = f"""#!/bin/sh
export WORDS="$*"
exec socat TCP-LISTEN:{PORT},bind=127.0.0.1,reuseaddr,fork EXEC:/srv/hello/current/bin/answer
"""
ANSWER = r"""#!/bin/sh
while IFS= read -r line; do
    [ "$line" != "$(printf '\r')" ] || break
done
printf 'HTTP/1.1 %s x\r\nConnection: close\r\n\r\n' {status}
printf '%s|%s|%s|%s' {name} "$GREETING" "$WORDS" "$(id -un)"
"""
WORDS = ["two words", "$HOME", "%n", "a;b"]


class Machine:
    """The host, the project's file, and the key with which its user is entered."""

    def __init__(self, lab: LabCluster, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.file = folder / "hello.yaml"
        self.key = folder / "key"
        self.known_hosts = folder / "known_hosts"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        public = self.key.with_suffix(".pub").read_text()
        host_key = lab.sh(HOST, "cat /etc/ssh/ssh_host_ed25519_key.pub")
        self.known_hosts.write_text(f"{lab.addresses[HOST]} {' '.join(host_key.split()[:2])}\n")
        self.write()
        lab.sh(
            HOST,
            "useradd --create-home --shell /bin/sh deploy && install -d -m 0700 -o deploy -g deploy ~deploy/.ssh"
            f" && printf '%s' '{public}' >~deploy/.ssh/authorized_keys && chmod 0644 ~deploy/.ssh/authorized_keys"
            " && install -d -o deploy -g deploy /srv/hello",
        )
        self.allow()

    def write(self, words: list[str] | None = None) -> None:
        document: dict[str, Any] = {
            "apiVersion": "slipway.io/v1", "kind": "Project", "metadata": {"name": "hello"},
            "git": {"url": "https://git.example.net/hello.git"}, "language": "go", "deploy": "vm",
            "run": {"command": ["/app/bin/hello", *(words or WORDS)], "port": PORT, "env": {"GREETING": GREETING}},
            "health": {"path": "/healthz", "initialDelaySeconds": 0}, "vm": {"keep": 2},
            "environments": {"dev": {"hosts": [self.lab.addresses[HOST]]}},
        }  # fmt: skip
        self.file.write_text(yaml.safe_dump(document))

    def allow(self, *words: str) -> None:
        """Let the user do what the verb says."""
        made = self.lab.invoke("ci.unit", "--project", str(self.file), "--env", "dev", "--sudoers", *words)
        assert made.returncode == 0, made.stderr
        self.lab.sh(
            HOST,
            f"umask 0337; cat >/etc/sudoers.d/hello.new <<'END'\n{made.stdout}END\n"
            "visudo -cf /etc/sudoers.d/hello.new && mv /etc/sudoers.d/hello.new /etc/sudoers.d/hello",
        )

    def deploy(self, name: str, status: int = 200) -> tuple[Completed, str]:
        """Release a program that answers with its name; returns the run, and what became of the host."""
        made = self.folder / name
        (made / "bin").mkdir(parents=True, exist_ok=True)
        for file, text in (("hello", SERVER), ("answer", ANSWER.format(status=status, name=name))):
            (made / "bin" / file).write_text(text)
            (made / "bin" / file).chmod(0o755)
        done = self.lab.invoke(
            "ci.deploy", "--project", str(self.file), "--env", "dev", "--artifact", str(made), "--release", name,
            "--key", str(self.key), "--known-hosts", str(self.known_hosts), "--within", "15", "--json",
        )  # fmt: skip
        hosts = json.loads(done.stdout)["hosts"] if done.stdout else [{"state": done.stderr}]
        return done, hosts[0]["state"]

    def answer(self) -> str:
        return self.lab.sh(HOST, f"curl -sS --max-time 5 http://127.0.0.1:{PORT}/")

    def unit(self, key: str) -> str:
        return self.lab.sh(HOST, f"systemctl show --property {key} --value hello.service").strip()


@pytest.fixture(scope="module")
def machine(lab: LabCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield Machine(lab, tmp_path_factory.mktemp("vm"))
    lab.sh(
        HOST,
        "systemctl disable --now hello.service; rm -rf /srv/hello /etc/sudoers.d/hello "
        "/etc/systemd/system/hello.service; systemctl daemon-reload; userdel --remove deploy",
    )


def test_a_first_release_runs_as_its_user_with_its_words(machine: Machine) -> None:
    done, state = machine.deploy("one")
    assert (done.returncode, state) == (0, "deployed"), done.stderr
    assert machine.answer() == f"one|{GREETING}|{' '.join(WORDS)}|deploy"
    assert (machine.unit("ActiveState"), machine.unit("UnitFileState")) == ("active", "enabled")
    assert machine.unit("NoNewPrivileges") == "yes"
    _, state = machine.deploy("one")
    assert state == "unchanged"


def test_its_user_may_do_nothing_else_as_root(machine: Machine) -> None:
    for command in ("systemctl restart ssh", "cat /etc/shadow", "systemctl restart hello.service --now",
                    "install -m 0644 -o root -g root /etc/hostname /etc/systemd/system/hello.service"):  # fmt: skip
        refused = machine.lab.try_sh(HOST, f"su deploy -c 'sudo -n {command}'")
        assert refused.returncode != 0 and "password" in refused.stderr, command


def test_an_upgrade_then_one_that_does_not_get_well(machine: Machine) -> None:
    assert machine.deploy("two")[1] == "deployed"
    assert machine.answer().startswith("two|")
    done, state = machine.deploy("three", status=503)
    assert (done.returncode, state) == (1, "back")
    assert "503" in done.stderr
    assert machine.answer().startswith("two|")
    assert machine.lab.sh(HOST, "readlink /srv/hello/current").strip() == "releases/two"
    assert machine.deploy("four")[1] == "deployed"
    assert sorted(machine.lab.sh(HOST, "ls /srv/hello/releases").split()) == ["four", "two"]


def test_one_that_dies_at_once_goes_back_with_its_unit(machine: Machine) -> None:
    before = machine.lab.sh(HOST, "cat /etc/systemd/system/hello.service")
    machine.write(["other"])
    made = machine.folder / "five"
    (made / "bin").mkdir(parents=True)
    (made / "bin/hello").write_text("#!/bin/sh\nexit 1\n")
    (made / "bin/hello").chmod(0o755)
    run = machine.lab.invoke(
        "ci.deploy", "--project", str(machine.file), "--env", "dev", "--artifact", str(made), "--release", "five",
        "--key", str(machine.key), "--known-hosts", str(machine.known_hosts), "--within", "10", "--json",
    )  # fmt: skip
    assert json.loads(run.stdout)["hosts"][0]["state"] == "back", run.stderr
    assert machine.lab.sh(HOST, "cat /etc/systemd/system/hello.service") == before
    assert machine.answer().startswith("four|")
    machine.write()


def test_a_user_who_may_not_change_the_unit_releases_all_the_same(machine: Machine) -> None:
    machine.allow("--unit-is-fixed")
    assert machine.deploy("six")[1] == "deployed"
    machine.write(["another"])
    done, state = machine.deploy("seven")
    assert state == "back"
    assert "cannot be replaced (see sudoers)" in done.stderr
    assert machine.answer().startswith("six|")
    machine.write()
    machine.allow()


def test_a_host_with_another_key_is_not_entered(machine: Machine) -> None:
    right = machine.known_hosts.read_text()
    machine.known_hosts.write_text(f"{machine.lab.addresses[HOST]} {machine.key.with_suffix('.pub').read_text()}")
    try:
        done, state = machine.deploy("eight")
        assert (done.returncode, state) == (1, "failed")
        assert "compare it with the host's own" in done.stderr
    finally:
        machine.known_hosts.write_text(right)
