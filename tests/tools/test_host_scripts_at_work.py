"""The scripts of host settings at work below a scratch folder: what they write, say, leave alone and take back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from generator.components.oneshot import script_text

pytestmark = pytest.mark.tools


class Scratch:
    """A root with scripts whose paths lead below it, and programs that only write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.log = folder / "log"
        for path in (self.root / "etc", self.bin):
            path.mkdir(parents=True)
        self.log.touch()
        self.stand_in("restorecon", "exit 0")

    def stand_in(self, name: str, body: str) -> None:
        """Put a program first in the path; what it is called with goes to the log."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{body}\n')
        path.chmod(0o755)

    def write(self, path: str, text: str) -> Path:
        found = self.root / path.removeprefix("/")
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        return found

    def read(self, path: str) -> str:
        return (self.root / path.removeprefix("/")).read_text()

    def exists(self, path: str) -> bool:
        return (self.root / path.removeprefix("/")).exists()

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def run(self, script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        text = script_text(script)
        for folder in ("/etc/", "/var/lib/", "/proc/", "/usr/share/"):
            text = text.replace(folder, f"{self.root}{folder}")
        place = self.root.parent / script
        place.write_text(text)
        path = f"{self.bin}:{os.environ['PATH']}:/usr/sbin:/sbin"
        return subprocess.run(
            ["sh", str(place), *words],
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


@pytest.mark.parametrize("written", ["old\n", "", None])
def test_a_host_gets_its_name_on_disk_and_at_once(scratch: Scratch, written: str | None) -> None:
    if written is not None:
        scratch.write("/etc/hostname", written)
    running = scratch.write("/proc/sys/kernel/hostname", "old\n")
    assert scratch.run("host-name.sh", SLIPWAY_HOST_NAME="cp1").returncode == 0
    assert (scratch.read("/etc/hostname"), running.read_text()) == ("cp1\n", "cp1\n")
    before = (scratch.root / "etc/hostname").stat().st_ino
    assert scratch.run("host-name.sh", SLIPWAY_HOST_NAME="cp1").returncode == 0
    assert (scratch.root / "etc/hostname").stat().st_ino == before


def test_a_zone_is_set_for_systemd_and_for_debian(scratch: Scratch) -> None:
    scratch.write("/usr/share/zoneinfo/Europe/Berlin", "TZif")
    scratch.write("/etc/timezone", "Etc/UTC\n")
    for _ in range(2):
        done = scratch.run("time-zone.sh", SLIPWAY_TIME_ZONE="Europe/Berlin")
        assert done.returncode == 0, done.stderr
        assert os.readlink(scratch.root / "etc/localtime").endswith("/usr/share/zoneinfo/Europe/Berlin")
        assert scratch.read("/etc/timezone") == "Europe/Berlin\n"
    unknown = scratch.run("time-zone.sh", SLIPWAY_TIME_ZONE="Europe/Nowhere")
    assert unknown.returncode == 1 and "does not know the zone" in unknown.stderr
    assert scratch.read("/etc/timezone") == "Europe/Berlin\n"


@pytest.mark.parametrize(
    ("mode", "wanted", "calls"),
    [
        ("Permissive", "enforcing", ["setenforce 1"]),
        ("Enforcing", "permissive", ["setenforce 0"]),
        ("Enforcing", "enforcing", []),
    ],
)
def test_selinux_changes_one_line_and_the_running_mode(
    scratch: Scratch, mode: str, wanted: str, calls: list[str]
) -> None:
    scratch.stand_in("getenforce", f"echo {mode}")
    scratch.stand_in("setenforce", "exit 0")
    scratch.write("/etc/selinux/config", "# words\nSELINUX=disabled\nSELINUXTYPE=targeted\n")
    assert scratch.run("selinux.sh", SLIPWAY_SELINUX=wanted).returncode == 0
    assert scratch.read("/etc/selinux/config") == f"# words\nSELINUX={wanted}\nSELINUXTYPE=targeted\n"
    assert [call for call in scratch.calls if call.startswith("setenforce")] == calls


def test_selinux_that_is_off_is_an_error_with_the_way_out(scratch: Scratch) -> None:
    scratch.stand_in("getenforce", "echo Disabled")
    scratch.write("/etc/selinux/config", "SELINUX=disabled\n")
    done = scratch.run("selinux.sh", SLIPWAY_SELINUX="enforcing")
    assert done.returncode == 1 and "fixfiles -F onboot" in done.stderr
    assert scratch.read("/etc/selinux/config") == "SELINUX=enforcing\n"


HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.mark.parametrize(("after", "status"), [("", 0), ("/dev/sda2 partition 1 0 -2\n", 1)])
def test_swap_that_stays_on_is_named(scratch: Scratch, after: str, status: int) -> None:
    scratch.stand_in("systemd-detect-virt", "exit 1")
    swaps = scratch.write("/proc/swaps", f"{HEAD}/dev/sda2 partition 1 0 -2\n")
    (scratch.root.parent / "after").write_text(HEAD + after)
    scratch.stand_in("swapoff", f"cp {scratch.root.parent}/after {swaps}")
    done = scratch.run("swap-off.sh")
    assert done.returncode == status
    assert ("/dev/sda2" in done.stderr) == bool(status)
    assert "swapoff -a" in scratch.calls


def test_swap_of_the_machine_is_no_business_of_a_container(scratch: Scratch) -> None:
    scratch.stand_in("systemd-detect-virt", "exit 0")
    scratch.stand_in("swapoff", "exit 0")
    scratch.write("/proc/swaps", f"{HEAD}/dev/sda2 partition 1 0 -2\n")
    assert scratch.run("swap-off.sh").returncode == 0
    assert "swapoff -a" not in scratch.calls


def test_modules_that_are_there_are_not_loaded_again(scratch: Scratch) -> None:
    scratch.stand_in("modprobe", "case $2 in missing-one) exit 1 ;; esac")
    listed = scratch.write("/etc/modules-load.d/more.conf", "# words\nrbd-of-slipway\nmissing-one\n")
    done = scratch.run("kernel-modules.sh", str(listed))
    assert done.returncode == 1 and "missing-one cannot be loaded" in done.stderr
    assert [call for call in scratch.calls if "modprobe" in call] == [
        "modprobe -- rbd-of-slipway",
        "modprobe -- missing-one",
    ]


WANTED = "PasswordAuthentication no\n"
DROP_IN = "/etc/ssh/sshd_config.d/00-slipway.conf"
CONFIRMED = "/var/lib/slipway/ssh-hardening/confirmed"
RESTART_TIMER = "systemctl --no-block restart slipway-ssh-hardening-restore.timer"


class Sshd(Scratch):
    """A host with an sshd whose settings are those of its drop-in, and a login with a key."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.write("/etc/slipway/sshd.conf", WANTED)
        self.write("/etc/ssh/sshd_config", "")
        home = self.write("/home/admin/.ssh/authorized_keys", "ssh-ed25519 AAAA\n").parents[1]
        self.stand_in("systemctl", 'case "$*" in *is-active*sshd.service) exit 3 ;; esac')
        self.stand_in("id", "echo adm admin")
        self.stand_in("getent", f"echo admin:x:1000:1000::{home}:/bin/sh")
        self.refuses(effective="passwordauthentication no")

    def refuses(self, test: str = "exit 0", effective: str = "passwordauthentication no") -> None:
        """Give sshd an answer to -t, and settings that it comes to."""
        settings = f"{effective}\npubkeyauthentication yes\nauthorizedkeysfile .ssh/authorized_keys .ssh/more\n"
        (self.root.parent / "effective").write_text(settings)
        self.stand_in("sshd", f'case $1 in -t) {test} ;; *) cat "{self.root.parent}/effective" ;; esac')

    def do(self, verb: str) -> subprocess.CompletedProcess[str]:
        return self.run("ssh-hardening.sh", verb, SLIPWAY_SSH_LOGIN="admin")


@pytest.fixture
def sshd(tmp_path: Path) -> Sshd:
    return Sshd(tmp_path)


def test_new_settings_are_loaded_with_a_timer_behind_them_until_confirmed(sshd: Sshd) -> None:
    done = sshd.do("load")
    assert done.returncode == 0, done.stderr
    assert sshd.read(DROP_IN) == WANTED and not sshd.exists(CONFIRMED)
    assert sshd.calls.index(RESTART_TIMER) < sshd.calls.index("systemctl reload ssh.service")
    assert sshd.do("confirm").returncode == 0
    assert sshd.read(CONFIRMED) == WANTED
    assert sshd.calls[-1] == "systemctl stop slipway-ssh-hardening-restore.timer"
    # At boot nothing is new, so nothing is reloaded and nobody has to confirm.
    sshd.log.write_text("")
    assert sshd.do("load").returncode == 0
    assert sshd.calls == ["systemctl --no-block stop slipway-ssh-hardening-restore.timer"]


@pytest.mark.parametrize("earlier", [None, "UseDNS no\n"])
def test_settings_that_nobody_confirmed_give_way_to_those_before(sshd: Sshd, earlier: str | None) -> None:
    if earlier is not None:
        sshd.write(DROP_IN, earlier)
        sshd.write(CONFIRMED, earlier)
    # A second try that nobody confirms either must not pass for what was there before.
    for _ in range(2):
        assert sshd.do("load").returncode == 0
        assert sshd.read(DROP_IN) == WANTED
    done = sshd.do("restore")
    assert done.returncode == 0 and "nobody confirmed" in done.stderr
    assert (sshd.read(DROP_IN) if sshd.exists(DROP_IN) else None) == earlier
    assert sshd.calls[-1] == "systemctl reload ssh.service"


@pytest.mark.parametrize(
    ("test", "effective", "login_has_key", "words"),
    [
        ("echo line 3: bad >&2; exit 1", "passwordauthentication no", True, "sshd does not take them: line 3: bad"),
        ("exit 0", "passwordauthentication yes", True, "put the line 'Include"),
        ("exit 0", "passwordauthentication no", False, "invoke hosts.authorize"),
        ("exit 0", "passwordauthentication no\nkbdinteractiveauthentication yes", True, "put the line 'Include"),
        ("exit 0", "passwordauthentication no\npermitrootlogin yes", True, "put the line 'Include"),
        ("exit 0", "passwordauthentication no\nallowusers ops\nallowusers root@10.*", True, "AllowUsers in sshd's"),
        ("exit 0", "passwordauthentication no\ndenyusers ad*", True, "DenyUsers in sshd's settings does not let admin"),
        ("exit 0", "passwordauthentication no\nallowgroups wheel", True, "AllowGroups in sshd's settings"),
        ("exit 0", "passwordauthentication no\ndenygroups *min", True, "DenyGroups in sshd's settings"),
    ],
)
def test_settings_that_would_shut_somebody_out_are_never_loaded(
    sshd: Sshd, test: str, effective: str, login_has_key: bool, words: str
) -> None:
    sshd.refuses(test, effective)
    if not login_has_key:
        shutil.rmtree(sshd.root / "home")
    done = sshd.do("load")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr and words in done.stderr
    assert not sshd.exists(DROP_IN)
    assert not [call for call in sshd.calls if "reload" in call or "restart" in call]


def test_a_login_that_sshd_names_is_let_in(sshd: Sshd) -> None:
    sshd.refuses(effective="passwordauthentication no\nallowusers ops\nallowusers adm?n@10.*\nallowgroups wheel adm*")
    done = sshd.do("load")
    assert done.returncode == 0, done.stderr


def test_nothing_of_the_settings_is_left_when_they_leave_the_spec(sshd: Sshd) -> None:
    assert sshd.do("load").returncode == sshd.do("confirm").returncode == 0
    assert sshd.do("remove").returncode == 0
    assert not sshd.exists(DROP_IN) and not sshd.exists(CONFIRMED)
    assert sshd.calls[-1] == "systemctl reload ssh.service"


def test_what_is_not_loaded_is_not_confirmed(sshd: Sshd) -> None:
    assert sshd.do("load").returncode == 0
    sshd.write("/etc/slipway/sshd.conf", "UseDNS no\n")
    assert sshd.do("confirm").returncode == 1
    assert not sshd.exists(CONFIRMED)
