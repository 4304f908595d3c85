"""fleet/scripts/preflight.sh on a host made of files, in every shell that is here, and its answer as facts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fleet.host_scripts import script_argv, script_text
from fleet.preflight.facts import Machine, inquiry, machine_from
from generator.errors import HostError
from tests.fleet.preflight_facts import tree

# Not busybox: its shell takes its own programs before those that a test puts into PATH.
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
HOST = "worker-001"
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.1.0/24 2 0 2
        |-- 10.0.1.1
           /32 host LOCAL
        |-- 10.0.1.255
           /32 link BROADCAST
"""
FILES = {
    "etc/os-release": 'ID=ubuntu\nVERSION_ID="24.04"\n',
    "proc/sys/kernel/hostname": "w1\n",
    "proc/sys/kernel/osrelease": "6.8.0-31-generic\n",
    "etc/machine-id": "0af3\n",
    "sys/class/dmi/id/product_uuid": "AB-1\n",
    "sys/devices/system/cpu/online": "0-2,5\n",
    "sys/fs/selinux/enforce": "1",
    "proc/sys/fs/inotify/max_user_instances": "128\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu io\n",
    "proc/meminfo": "MemFree: 5 kB\nMemTotal:       16384256 kB\n",
    "proc/swaps": "Filename\t\t\tType\tSize\n/dev/sda3   partition\t99\n/swap.img file 9\n",
    "proc/mounts": "/dev/sda1 / ext4 ro,relatime 0 0\ntmpfs /tmp tmpfs rw,errors=remount-ro 0 0\n",
    "proc/filesystems": "nodev\tproc\nnodev\toverlay\n",
    "proc/net/fib_trie": TRIE,
    "proc/net/if_inet6": "fd000000000000000000000000000002 02 40 00 80 eth0\n",
    "etc/resolv.conf": "# by hand\nnameserver 10.0.0.53\nsearch example.net\n",
    "lib/modules/6.8.0-31-generic/modules.dep": "kernel/net/netfilter/nf_conntrack.ko.zst: kernel/lib/x.ko\n",
    "etc/ufw/ufw.conf": "# comment\nENABLED=yes\n",
    "var/lib/slipway/generation": "abc\n",
    "var/lib/slipway/underway": "x\n",
    "var/lib/slipway/installed": "/etc/x\tfile\truntime\nunit:kubelet.service\tunit\tnodes\n",
    "etc/kubernetes/manifests/kube-apiserver.yaml": "",
    "etc/kubernetes/manifests/with\ntwo lines.yaml": "",
    "etc/systemd/system/k3s-agent.service": "",
    "proc/net/tcp": "header\n   0: 00000000:280A 00000000:0000 0A 0:0 00:0 0 0 0 999 1 0 100\n",
}
SYSTEMCTL = """#!/bin/sh
[ "$1" = is-active ] || exit 1
for unit; do
    case $unit in is-active | --) ;; chrony.service | firewalld.service) echo active ;; *) echo inactive ;; esac
done
exit 3
"""
CURL = """#!/bin/sh
for url; do :; done
case $url in *good*) exit 0 ;; esac
echo "curl: (6) Could not resolve host" >&2
exit 6
"""
GETENT = "#!/bin/sh\ncase $2 in known.*) ;; *) exit 2 ;; esac\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "a host"
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (
        ("systemctl", SYSTEMCTL),
        ("curl", CURL),
        ("getent", GETENT),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return folder


def asked(shell: str, root: Path, question: Sequence[str]) -> list[str]:
    argv = script_argv("preflight", root=str(root))
    argv[0:1] = [shell]
    environment = {**os.environ, "PATH": f"{root.parent / 'bin'}:{os.environ['PATH']}"}
    text = script_text("preflight") + "".join(f"{line}\n" for line in question)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


def answer(lines: Sequence[str]) -> Machine:
    now = time.time()
    assert lines[-1] == "end"
    return machine_from(HOST, tuple(tuple(line.split("\t")) for line in lines[:-1]), asked=now - 60, now=now)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_host_tells(shell: str, root: Path) -> None:
    question = inquiry(tree(), tree().hosts[HOST]).decode().splitlines()
    question += ["url\thttp://good.example.net/x", "program\tno-such-program", "program\tsort"]
    question += ["name\tapi.example.net", "name\tknown.example.net"]
    found = answer(asked(shell, root, question))
    assert (found.os_id, found.os_version, found.hostname, found.kernel) == (
        "ubuntu",
        "24.04",
        "w1",
        "6.8.0-31-generic",
    )
    assert (found.machine_id, found.product_uuid, found.cpus, found.memory) == ("0af3", "AB-1", 4, 16384256)
    assert (found.selinux, found.inotify, found.cgroup) == ("enforcing", {"instances": 128}, 2)
    assert found.swaps == ("/dev/sda3", "/swap.img") and found.readonly == {"/"}
    assert found.timezone == "Europe/Berlin" and "no-such-program" in found.missing and "sort" not in found.missing
    assert found.active == {"chrony.service", "firewalld.service"} and found.ufw
    assert found.modules == {"br_netfilter": "missing"}
    assert found.addresses == {"10.0.1.1", "fd00::2"}
    assert found.nameservers == ("10.0.0.53",) and found.resolves_itself is False
    assert found.unresolved == ("api.example.net",)
    assert found.urls["http://good.example.net/x"] == ""
    assert {why for url, why in found.urls.items() if "good" not in url} == {"curl: (6) Could not resolve host"}
    assert found.generation == "abc" and found.settled and found.underway
    assert found.own == {"/etc/x", "unit:kubelet.service"}
    assert found.remains == ("/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/systemd/system/k3s-agent.service")
    assert [(one.address, one.port) for one in found.listening] == [("0.0.0.0", 10250)]
    assert set(found.disks) == {"/opt", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/slipway"}
    assert all(disk.free > 0 and disk.mount.startswith("/") for disk in found.disks.values())
    assert abs(found.clock_ahead) < 1


@pytest.mark.parametrize("shell", SHELLS)
def test_a_host_that_tells_nothing_has_no_facts(shell: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bare").mkdir()
    found = answer(asked(shell, tmp_path / "bare", ["module\toverlay"]))
    assert found.modules == {"overlay": "unknown"} and found.timezone == "UTC"
    assert (found.cpus, found.memory, found.cgroup, found.swaps, found.addresses) == (None, None, 0, (), frozenset())
    assert not found.settled and found.nameservers is None and found.disks == {}


@pytest.mark.parametrize("shell", SHELLS)
def test_what_our_user_data_put_there_is_ours_until_an_apply_records_it(shell: str, tmp_path: Path) -> None:
    state = tmp_path / "bare/var/lib/slipway"
    state.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    assert not answer(asked(shell, tmp_path / "bare", [])).underway
    (state / "first-boot").touch()
    assert answer(asked(shell, tmp_path / "bare", [])).underway
    (state / "generation").write_text("1\n")
    assert not answer(asked(shell, tmp_path / "bare", [])).underway


def test_a_container_does_not_tell_the_number_of_its_machine(root: Path) -> None:
    (root / "run/systemd").mkdir(parents=True)
    (root / "run/systemd/container").write_text("systemd-nspawn\n")
    assert answer(asked("dash", root, [])).product_uuid == ""


def test_cgroup_v1(root: Path) -> None:
    (root / "sys/fs/cgroup/cgroup.controllers").unlink()
    (root / "sys/fs/cgroup/memory").mkdir()
    assert answer(asked("dash", root, [])).cgroup == 1


def test_numbers_of_the_running_kernel_are_whole(tmp_path: Path) -> None:
    """The kernel gives a number below /proc/sys in one piece; a shell that reads byte by byte gets one digit."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "this").mkdir()
    (tmp_path / "this/proc").symlink_to("/proc")
    found = answer(asked("dash", tmp_path / "this", []))
    whole = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert found.inotify["watches"] == whole


def test_nothing_is_written(root: Path) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*"))
    asked("dash", root, inquiry(tree(), tree().hosts[HOST]).decode().splitlines())
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*")) == before


@pytest.mark.parametrize(
    "line", [("party",), ("slipway", "2"), ("memory", "much"), ("disk", "/opt"), ("address6", "zz"), ("listen", "tcp")]
)
def test_an_answer_that_the_script_did_not_give_is_refused(line: tuple[str, ...]) -> None:
    with pytest.raises(HostError, match="preflight: the answer is not understood"):
        machine_from(HOST, (("slipway", "1"), ("time", "1"), ("arch", "x86_64"), line), asked=0, now=1)


def test_an_answer_without_its_beginning_is_refused() -> None:
    with pytest.raises(HostError, match="preflight: the answer is not understood"):
        machine_from(HOST, (("slipway", "1"),), asked=0, now=1)


def test_a_check_that_is_left_out_asks_no_server() -> None:
    host = tree().hosts[HOST]
    assert b"url\thttps://mirror.example.net" in inquiry(tree(), host)
    assert b"url\t" not in inquiry(tree(), host, {"mirror"})


@pytest.mark.parametrize("shell", SHELLS)
def test_cards_are_counted_by_maker_and_class_where_the_host_is_to_have_some(shell: str, root: Path) -> None:
    cards = {"0000:01:00.0": ("0x10de", "0x030200"), "0000:02:00.0": ("0x10de", "0x030000"),
             "0000:01:00.1": ("0x10de", "0x040300"), "0000:03:00.0": ("0x1002", "0x030000")}  # fmt: skip
    assert answer(asked(shell, root, ["gpu\tnvidia"])).gpus is None
    for name, (vendor, kind) in cards.items():
        card = root / "sys/bus/pci/devices" / name
        card.mkdir(parents=True)
        (card / "vendor").write_text(f"{vendor}\n")
        (card / "class").write_text(f"{kind}\n")
    (root / "sys/bus/pci/devices/0000:09:00.0").mkdir()
    found = answer(asked(shell, root, ["gpu\tnvidia"]))
    assert (found.gpus, found.gpu_driver) == (2, "") and answer(asked(shell, root, [])).gpus is None
    (root / "proc/driver/nvidia").mkdir(parents=True)
    (root / "proc/driver/nvidia/version").write_text("NVRM version: NVIDIA 570.133.20\nGCC version: 12\n")
    assert answer(asked(shell, root, ["gpu\tnvidia"])).gpu_driver == "NVRM version: NVIDIA 570.133.20"
