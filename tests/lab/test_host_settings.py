"""The section `system` on real hosts: each setting holds, sshd shuts nobody out, and all of it goes with the spec."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.test_drift import NODES, apply
from tests.lab.test_rolling import rendered

pytestmark = pytest.mark.lab

WORKERS = ("w1", "w2")
CHANGED = (*WORKERS, "cp1")
ZONE = "Europe/Berlin"
PROXY = "http://192.0.2.8:3128"
FOREIGN = "192.0.2.77 somebody-else  # by hand"
DROP_IN = "/etc/ssh/sshd_config.d/00-slipway.conf"
BROKEN = "/etc/ssh/sshd_config.d/zz-planted.conf"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n-----END PGP PUBLIC KEY BLOCK-----\n"
TIME = {"mode": "own", "servers": ["192.0.2.123"], "own": ["cp1"], "allow": ["0.0.0.0/0"]}

# Hosts of the lab may not turn the machine's clock, which chronyd takes for a reason not to start.
CHRONY = """
set -e
mkdir -p /etc/systemd/system/chrony.service.d
cat >/etc/systemd/system/chrony.service.d/90-lab.conf <<'END'
[Unit]
ConditionCapability=

[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd $DAEMON_OPTS -x
END
systemctl daemon-reload
cp -p /etc/chrony/chrony.conf /root/chrony.conf.kept
"""
CHRONY_AS_BEFORE = """
rm -f /etc/systemd/system/chrony.service.d/90-lab.conf
rmdir /etc/systemd/system/chrony.service.d 2>/dev/null
mv -f /root/chrony.conf.kept /etc/chrony/chrony.conf
systemctl daemon-reload
"""
# What stands for the kernel's settings on a host of the lab are plain files; its own name is the kernel's for once.
OTHER_NAME = """
set -e
mkdir -p /run/kernel
mount -t proc proc /run/kernel
mount --bind /run/kernel/sys/kernel/hostname /proc/sys/kernel/hostname
hostname planted
echo planted >/etc/hostname
"""
NAME_AS_BEFORE = """
umount /proc/sys/kernel/hostname
umount /run/kernel
hostname w1
echo w1 >/etc/hostname
"""
# Nobody gets in anew for as long as sshd has the settings that are on trial.
SHUT_OUT = f"""
until grep -qs 'ClientAliveInterval 61' {DROP_IN}; do sleep 0.1; done
iptables -I INPUT -p tcp --dport 22 --syn -j DROP
while grep -qs 'ClientAliveInterval 61' {DROP_IN}; do sleep 0.2; done
iptables -D INPUT -p tcp --dport 22 --syn -j DROP
"""


def settings() -> Any:
    """Everything of the section that has an effect on a host of the lab, at the pool and at two hosts.

    Its hosts have no modules of their own: none can be loaded there.
    """

    def change(spec: dict[str, Any]) -> None:
        spec["pools"]["workers"]["system"] = {
            "timeZone": ZONE,
            "journald": {"persistent": True, "maxUse": "64M"},
            "limits": {"files": 16384, "processes": 8192},
            "ssh": {"harden": True},
            "packages": {"extra": ["ethtool", "socat"]},
            "packageSources": [
                {
                    "name": "base",
                    "apt": {"uris": ["http://mirror.example.net/debian"], "suites": ["bookworm"]},
                    "keyFile": "files/mirror.asc",
                }
            ],
            "replacePackageSources": True,
            "proxy": {"http": PROXY, "noProxy": ["mirror.example.net"]},
            "hostsFile": {"allHosts": True, "records": {"192.0.2.9": ["mirror.example.net"]}},
            "moduleOptions": {"sunrpc": "tcp_slot_table_entries=128"},
        }
        spec["hosts"]["w1"]["system"] = {"hostName": "set", "time": TIME}
        spec["hosts"]["cp1"]["system"] = {"time": TIME}

    return change


def alive(seconds: int) -> Any:
    def change(spec: dict[str, Any]) -> None:
        spec["pools"]["workers"]["system"]["ssh"]["clientAliveInterval"] = seconds

    return change


def no_settings(spec: dict[str, Any]) -> None:
    spec["pools"]["workers"].pop("system", None)
    for host in CHANGED:
        spec["hosts"][host].pop("system", None)


def refused(lab: LabCluster) -> str:
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(lab: LabCluster, host: str) -> set[str]:
    """Every file and link where settings may leave something, links with what they point to."""
    return set(
        lab.sh(
            host, "find /etc /usr/local/lib -xdev -path '/etc/rc?.d' -prune -o ! -type d -printf '%p %l\\n'"
        ).splitlines()
    )


def units(lab: LabCluster, host: str) -> set[str]:
    """The units of ours that systemd knows."""
    return set(lab.sh(host, "systemctl list-units --all --plain --no-legend 'slipway-*' | cut -d ' ' -f 1").split())


def web_container(lab: LabCluster) -> list[str]:
    statuses = lab.kubectl_json("get", "pod", "web-w1")["status"]["containerStatuses"]
    return [f"{one['containerID']} {json.dumps(one['state'])}" for one in statuses]


@pytest.fixture(scope="module")
def before(lab: LabCluster) -> Iterator[dict[str, Any]]:
    """What the hosts have before anything is set; everything that tests plant goes with it at the end."""
    lab.start_web_pods(["w1"])
    seen: dict[str, Any] = {"hosts": lab.sh("w1", "cat /etc/hosts")}
    for host in ("w1", "cp1"):
        lab.sh(host, CHRONY)
    for host in CHANGED:
        seen[host] = files(lab, host)
    lab.sh("w1", f"cp -p /etc/hosts /root/hosts.kept && echo {shlex.quote(FOREIGN)} >>/etc/hosts")
    lab.sh("w1", OTHER_NAME)
    seen["units"] = {host: units(lab, host) for host in CHANGED}
    seen["starts"] = lab.unit_starts(NODES)
    seen["web"] = web_container(lab)
    folder = lab.inputs / "files"
    folder.mkdir(exist_ok=True)
    (folder / "mirror.asc").write_text(KEY)
    yield seen
    lab.sh("w1", f"rm -f {BROKEN}; cp -p /root/hosts.kept /etc/hosts; rm /root/hosts.kept")
    if "gone" not in seen:
        rendered(lab, no_settings)
        apply(lab)
    (folder / "mirror.asc").unlink()
    lab.sh("w1", NAME_AS_BEFORE)
    for host in WORKERS:
        lab.sh(host, "ln -sfn /usr/share/zoneinfo/Etc/UTC /etc/localtime; echo Etc/UTC >/etc/timezone")
    for host in ("w1", "cp1"):
        lab.sh(host, CHRONY_AS_BEFORE)


def restarted(lab: LabCluster, before: dict[str, Any]) -> set[tuple[str, str]]:
    """The units of Kubernetes that run anew; from now on they count as before."""
    earlier, before["starts"] = before["starts"], lab.unit_starts(NODES)
    return {key for key in earlier if earlier[key] != before["starts"][key]}


def test_settings_that_sshd_does_not_take_are_refused_before_it_hears_of_them(
    lab: LabCluster, before: dict[str, Any]
) -> None:
    lab.sh("w1", f"echo 'NoSuchOption yes' >{BROKEN}")
    process = lab.sh("w1", "systemctl show -P MainPID ssh")
    rendered(lab, settings())
    try:
        said = refused(lab)
    finally:
        lab.sh("w1", f"rm {BROKEN}")
    assert "slipway-ssh-hardening.service" in said
    assert "nothing was changed: sshd does not take them" in said and BROKEN in said and "NoSuchOption" in said
    assert lab.try_sh("w1", f"test -e {DROP_IN}").returncode != 0
    assert lab.sh("w1", "systemctl show -P MainPID ssh") == process
    assert lab.sh("w1", "systemctl is-active ssh").strip() == "active"


def test_every_setting_holds_on_the_host(lab: LabCluster, before: dict[str, Any]) -> None:
    apply(lab)
    assert lab.sh("w1", "cat /etc/hostname /proc/sys/kernel/hostname; hostname").split() == ["w1"] * 3
    for host in WORKERS:
        zone = lab.sh(host, "timedatectl show --value -p Timezone; cat /etc/timezone; date -d 2026-01-15 +%Z").split()
        assert zone == [ZONE, ZONE, "CET"], host
        sshd = set(lab.sh(host, "sshd -T").splitlines())
        assert {
            "passwordauthentication no",
            "kbdinteractiveauthentication no",
            "permitrootlogin without-password",
            "pubkeyauthentication yes",
            "allowtcpforwarding yes",
            "clientaliveinterval 60",
        } <= sshd, host
        # The trial is over: nothing takes it back later.
        timer = "slipway-ssh-hardening-restore.timer"
        assert lab.try_sh(host, f"systemctl is-active {timer}").stdout.strip() == "inactive", host


def test_journal_limits_and_options_of_modules_hold(lab: LabCluster, before: dict[str, Any]) -> None:
    journal = lab.sh("w1", "systemd-analyze cat-config systemd/journald.conf")
    assert {"Storage=persistent", "SystemMaxUse=64M"} <= set(journal.splitlines())
    said = lab.sh("w1", "journalctl --no-pager -o cat -u systemd-journald | grep 'System Journal' | tail -n 1")
    assert "/var/log/journal/" in said and "max 64.0M" in said
    defaults = lab.sh("w1", "systemctl show -p DefaultLimitNOFILE -p DefaultLimitNPROC").split()
    assert set(defaults) == {"DefaultLimitNOFILE=16384", "DefaultLimitNPROC=8192"}
    # A login that comes now, and a unit that states none of its own.
    assert lab.sh("w1", "bash -c 'ulimit -Hn; ulimit -n; ulimit -u'").split() == ["16384", "16384", "8192"]
    assert lab.sh("w1", "systemd-run --quiet --wait --pipe sh -c 'ulimit -n'").strip() == "16384"
    assert lab.sh("w1", "cat /etc/modprobe.d/slipway.conf") == "options sunrpc tcp_slot_table_entries=128\n"


def test_hosts_have_names_and_what_somebody_else_wrote_stays(lab: LabCluster, before: dict[str, Any]) -> None:
    assert lab.sh("w1", "getent hosts mirror.example.net").split() == ["192.0.2.9", "mirror.example.net"]
    for host in ("cp2", "w2"):
        assert lab.sh("w1", f"getent hosts {host}").split()[0] == lab.addresses[host]
    text = lab.sh("w1", "cat /etc/hosts")
    assert text.startswith(f"{before['hosts']}{FOREIGN}\n")


def test_the_time_comes_from_the_cluster_s_own_server(lab: LabCluster, before: dict[str, Any]) -> None:
    until(lambda: f"^* {lab.addresses['cp1']}" in lab.sh("w1", "chronyc -n sources"), 60)
    assert lab.sh("w1", "ss -Hlun 'sport = :123'") == ""
    assert "192.0.2.123" in lab.sh("cp1", "chronyc -n sources")
    assert lab.sh("w1", "systemctl is-enabled systemd-timesyncd || true").strip() == "masked"


def test_packages_and_images_come_by_the_way_of_the_spec(lab: LabCluster, before: dict[str, Any]) -> None:
    sources = lab.sh("w1", "apt-get --print-uris update").splitlines()
    assert sources and all(line.startswith("'http://mirror.example.net/debian/dists/bookworm/") for line in sources)
    asked = "P Acquire::http::Proxy D Acquire::http::Proxy::mirror.example.net"
    said = lab.sh("w1", f"apt-config shell {asked}").splitlines()
    assert said == [f"P='{PROXY}'", "D='DIRECT'"]
    environment = lab.sh("w1", "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID containerd)/environ").splitlines()
    assert f"HTTP_PROXY={PROXY}" in environment
    (past,) = [line for line in environment if line.startswith("NO_PROXY=")]
    assert {".svc", "10.84.0.0/16", "10.85.0.0/16", "mirror.example.net"} <= set(past.partition("=")[2].split(","))
    # A proxy is containerd's alone to start anew for, and what it runs goes on.
    assert restarted(lab, before) == {(host, "containerd.service") for host in WORKERS}
    assert web_container(lab) == before["web"]
    assert lab.all_ready(NODES)


@pytest.mark.lab_long
def test_settings_that_let_nobody_in_are_taken_back_by_the_host(lab: LabCluster, before: dict[str, Any]) -> None:
    lab.sh("w1", f"systemd-run --quiet --unit=planted sh -c {shlex.quote(SHUT_OUT)}")
    rendered(lab, alive(61))
    assert "no new SSH connection gets in" in refused(lab)
    until(lambda: lab.try_sh("w1", f"grep -qx 'ClientAliveInterval 60' {DROP_IN}").returncode == 0, 60)
    until(lambda: lab.try_sh("w1", "systemctl is-active planted").returncode != 0, 10)
    assert "clientaliveinterval 60" in lab.sh("w1", "sshd -T").splitlines()
    assert lab.try_sh("w1", "systemctl is-active slipway-ssh-hardening").stdout.strip() == "inactive"
    # The other host of the pool was never asked.
    assert "clientaliveinterval 60" in lab.sh("w2", "sshd -T").splitlines()


def test_all_of_it_goes_with_the_spec(lab: LabCluster, before: dict[str, Any]) -> None:
    rendered(lab, no_settings)
    apply(lab)
    before["gone"] = True
    for host in CHANGED:
        now = files(lab, host)
        stays = {one for one in now - before[host] if not one.startswith("/etc/localtime ")}
        assert stays == set(), host
        # This is a generation that the host had: what lay there then, such as the distribution's chrony.conf, is back.
        assert {one for one in before[host] - now if not one.startswith("/etc/localtime ")} == set(), host
    assert lab.sh("w1", "cat /etc/hosts") == f"{before['hosts']}{FOREIGN}\n"
    # Name and zone are the host's from here on.
    assert lab.sh("w1", "hostname; timedatectl show --value -p Timezone").split() == ["w1", ZONE]
    for host in WORKERS:
        sshd = lab.sh(host, "sshd -T").splitlines()
        assert "clientaliveinterval 0" in sshd and "kbdinteractiveauthentication no" in sshd, host
        assert lab.sh(host, "systemctl show -P DefaultLimitNOFILE").strip() != "16384", host
        assert "64M" not in lab.sh(host, "systemd-analyze cat-config systemd/journald.conf"), host
        assert "HTTP_PROXY" not in lab.sh(host, "systemctl show -P Environment containerd"), host
        assert units(lab, host) == before["units"][host], host
    for host in ("w1", "cp1"):
        assert lab.try_sh(host, "systemctl is-active chrony").stdout.strip() == "inactive", host
    assert restarted(lab, before) == {(host, "containerd.service") for host in WORKERS}
    assert web_container(lab) == before["web"]
    assert lab.all_ready(NODES)
