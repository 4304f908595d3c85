"""The real programs judge what the section `system` puts on hosts, and its scripts do their work on files of a test."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from generator.components.items import HostFile
from generator.components.oneshot import script_text
from generator.components.registry import COMPONENTS, by_name
from generator.spec import load_text
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster
from tests.components.sample import host_items, named_host, text_of
from tests.tools.test_units import root_with, units_of

pytestmark = pytest.mark.tools

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n-----END PGP PUBLIC KEY BLOCK-----\n"
SPEC = """
apiVersion: slipway.io/v1
kind: Cluster
metadata: {name: settings}
versions: {kubernetes: "1.30.2"}
pools:
  control: {roles: [etcd, control-plane], os: debian-12}
  workers: {roles: [worker], os: rocky-9, system: {selinux: enforcing}}
hosts:
  cp1: {pool: control, address: 10.0.0.1}
  w1: {pool: workers, address: 10.0.0.11}
system:
  hostName: set
  timeZone: Europe/Berlin
  time: {mode: own, servers: [ntp1.example.net, 10.0.0.123], own: [cp1], allow: [10.0.0.0/24]}
  journald: {persistent: true, maxUse: 2G, maxFileAge: 30d}
  limits: {files: 1048576, processes: 65536}
  ssh: {harden: true}
  packages: {base: true, extra: [lvm2]}
  packageSources:
  - {name: base, apt: {uris: ["https://mirror.example.net/debian"], suites: [bookworm]}, keyFile: key.asc}
  - {name: el9, dnf: {baseURL: "https://mirror.example.net/el9/$basearch"}, keyFile: key.asc}
  - {name: flat, apt: {uris: ["https://mirror.example.net/$(ARCH)"], suites: [/]}, keyFile: key.asc}
  - {name: sums, dnf: {baseURL: "https://mirror.example.net/rpm", signed: metadata}, keyFile: key.asc}
  replacePackageSources: true
  proxy: {http: "http://proxy.example.net:3128", noProxy: [mirror.example.net]}
  hostsFile: {records: {10.0.0.9: [mirror.example.net]}, allHosts: true}
  modules: [rbd]
  moduleOptions: {nf_conntrack: hashsize=131072}
"""
SETTINGS = (
    "host-name", "hosts-file", "kernel-modules", "package-manager", "selinux", "ssh-hardening", "swap", "time-zone",
)  # fmt: skip
SCRIPTS = (
    "host-name", "kernel-modules", "selinux", "ssh-hardening", "swap-off", "text-block", "time-zone",
)  # fmt: skip


def cluster() -> Cluster:
    """A Debian host and one of the Red Hat family with everything that the section can say."""
    return load_text(SPEC, files={"key.asc": KEY})


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


def file(component: str, host: str, path: str) -> str:
    return text_of(host_items(by_name(component), cluster(), host)[path])


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing(name: str, tmp_path: Path) -> None:
    script = tmp_path / f"{name}.sh"
    script.write_text(script_text(f"{name}.sh"))
    done = run(program("shellcheck"), "--shell=sh", "--severity=warning", script)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_systemd_accepts_every_unit(host: str, tmp_path: Path) -> None:
    program("systemd-analyze")
    units = units_of(cluster(), host)
    assert {"slipway-swap-off.service", "slipway-ssh-hardening.service", "slipway-hosts-file.service"} <= units.keys()
    root = root_with(units, tmp_path)
    for name in ("timesyncd", "journald"):
        (root / SYSTEMD_DIR.removeprefix("/") / f"systemd-{name}.service").write_text("[Service]\nExecStart=/bin/sh\n")
    paths = [f"{SYSTEMD_DIR}/{name}" for name in sorted(units) if "/" not in name]
    done = run("systemd-analyze", "verify", "--man=no", f"--root={root}", *paths)
    assert (done.stdout + done.stderr).strip() == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", SETTINGS)
def test_units_that_work_on_hosts_are_locked_in(name: str, tmp_path: Path) -> None:
    """Systemd rates exposure from 0 to 10, a service without a sandbox at 9.6."""
    program("systemd-analyze")
    host = "w1" if name in {"package-manager", "selinux"} else "cp1"
    units = {
        path.removeprefix(f"{SYSTEMD_DIR}/"): text_of(item)
        for path, item in host_items(by_name(name), cluster(), host).items()
        if isinstance(item, HostFile) and path.startswith(SYSTEMD_DIR) and path.endswith(".service")
    }
    assert units
    root = root_with(units, tmp_path)
    for unit in units:
        done = run("systemd-analyze", "security", "--no-pager", "--offline=true", f"--root={root}", unit)
        level = float(done.stdout.strip().splitlines()[-1].split(":")[1].split()[0])
        # They act as root on files of root; capabilities, devices, network and kernel are shut.
        assert level <= 5.0, (unit, done.stdout)


@pytest.mark.parametrize(("host", "path"), [("cp1", "/etc/chrony/chrony.conf"), ("w1", "/etc/chrony.conf")])
def test_chrony_reads_its_configuration(host: str, path: str, tmp_path: Path) -> None:
    chronyd = program("chronyd")
    config = tmp_path / "chrony.conf"
    config.write_text(file("time-sync", host, path))
    done = run(chronyd, "-p", "-f", config)
    assert done.returncode == 0, done.stderr
    config.write_text(config.read_text().replace("makestep", "makestop"))
    assert run(chronyd, "-p", "-f", config).returncode != 0


def test_sshd_takes_the_hardening(tmp_path: Path) -> None:
    sshd = program("sshd")
    key = tmp_path / "key"
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    drop_in, config = tmp_path / "00-slipway.conf", tmp_path / "sshd_config"
    drop_in.write_text(file("ssh-hardening", "cp1", "/etc/slipway/sshd.conf"))
    config.write_text(f"Include {drop_in}\nHostKey {key}\nPasswordAuthentication yes\nPermitRootLogin yes\n")
    done = run(sshd, "-T", "-f", config, "-C", "user=root,host=localhost,addr=127.0.0.1")
    if "privilege separation" in done.stderr.lower():
        pytest.skip("sshd needs its folder in /run")
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert found["passwordauthentication"] == found["permitemptypasswords"] == "no"
    assert found["kbdinteractiveauthentication"] == found["usedns"] == "no"
    assert found["permitrootlogin"] in {"prohibit-password", "without-password"}
    assert found["pubkeyauthentication"] == found["allowtcpforwarding"] == "yes"
    assert (found["clientaliveinterval"], found["clientalivecountmax"]) == ("60", "5")


def test_apt_reads_sources_and_proxy(tmp_path: Path) -> None:
    apt = program("apt-config")
    conf = tmp_path / "80-slipway"
    conf.write_text(file("package-manager", "cp1", "/etc/apt/apt.conf.d/80-slipway"))
    done = run(apt, "dump", APT_CONFIG=str(conf))
    assert done.returncode == 0, done.stderr
    assert 'dir::etc::sourceparts "/etc/slipway/apt";' in done.stdout.lower()
    assert 'acquire::http::proxy "http://proxy.example.net:3128";' in done.stdout.lower()
    sources = tmp_path / "parts"
    sources.mkdir()
    for name in ("base", "flat"):
        written = file("package-manager", "cp1", f"/etc/slipway/apt/slipway-{name}.sources")
        written = written.replace(f"/etc/slipway/keys/{name}.asc", str(tmp_path / "base.asc"))
        (sources / f"slipway-{name}.sources").write_text(written)
    options = ("-o", f"Dir::Etc::SourceParts={sources}", "-o", "Dir::Etc::SourceList=/dev/null")
    done = run("apt-get", *options, "--print-uris", "update")
    assert "https://mirror.example.net/debian/dists/bookworm/InRelease" in done.stdout, done.stderr
    arch = run("dpkg", "--print-architecture").stdout.strip()
    assert f"'https://mirror.example.net/{arch}/InRelease'" in done.stdout, done.stdout


def test_dnf_repositories_check_signatures() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(file("package-manager", "w1", "/etc/slipway/yum.repos.d/slipway-el9.repo"))
    section = parser["slipway-el9"]
    assert (section["gpgcheck"], section["gpgkey"]) == ("1", "file:///etc/slipway/keys/el9.asc")
    assert section["proxy"] == "_none_"
    parser.read_string(file("package-manager", "w1", "/etc/slipway/yum.repos.d/slipway-sums.repo"))
    assert (parser["slipway-sums"]["gpgcheck"], parser["slipway-sums"]["repo_gpgcheck"]) == ("0", "1")


def text_block(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    script = folder / "text-block"
    script.write_text(script_text("text-block.sh"))
    return run("sh", script, *words)


@pytest.mark.parametrize("before", ["127.0.0.1 localhost\n# mine\n", "127.0.0.1 localhost", "", "a\\nb  c\n\n\n"])
def test_a_block_comes_changes_and_goes_and_all_else_stays(before: str, tmp_path: Path) -> None:
    hosts, fragment = tmp_path / "hosts", tmp_path / "fragment"
    hosts.write_text(before)
    hosts.chmod(0o640)
    for lines in ("10.0.0.1 a\n", "10.0.0.1 a\n10.0.0.2 b\n", "10.0.0.2 b\n"):
        fragment.write_text(lines)
        assert text_block(tmp_path, "put", hosts, fragment).returncode == 0
        written = hosts.read_text()
        begin, end = "# BEGIN slipway: cluster.yaml sets these lines\n", "# END slipway\n"
        ended = before if not before or before.endswith("\n") else f"{before}\n"
        assert written == f"{ended}{begin}{lines}{end}"
        inode = hosts.stat().st_ino
        assert text_block(tmp_path, "put", hosts, fragment).returncode == 0
        assert hosts.stat().st_ino == inode, "written again without need"
    hosts.write_text(hosts.read_text() + "10.0.0.3 theirs\n")
    assert text_block(tmp_path, "take-out", hosts).returncode == 0
    assert hosts.read_text() == f"{ended}10.0.0.3 theirs\n"
    assert hosts.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fragment", "hosts", "text-block"]


def test_a_block_without_its_end_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    hosts, fragment = tmp_path / "hosts", tmp_path / "fragment"
    hosts.write_text("# BEGIN slipway: cluster.yaml sets these lines\n127.0.0.1 localhost\n")
    fragment.write_text("10.0.0.1 a\n")
    before = hosts.read_text()
    done = text_block(tmp_path, "put", hosts, fragment)
    assert done.returncode != 0
    assert "without '# END slipway'" in done.stderr
    assert hosts.read_text() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[main]\ngpgcheck=1\n", "[main]\ngpgcheck=1\n{block}"),
        ("[main]\nproxy=x\n[other]\na=1\n", "[main]\nproxy=x\n{block}[other]\na=1\n"),
        ("", "# BEGIN slipway: cluster.yaml sets these lines\n[main]\nreposdir=/x\n# END slipway\n"),
    ],
)
def test_a_block_goes_to_the_end_of_its_section(before: str, after: str, tmp_path: Path) -> None:
    conf, fragment = tmp_path / "dnf.conf", tmp_path / "fragment"
    conf.write_text(before)
    fragment.write_text("reposdir=/x\n")
    block = "# BEGIN slipway: cluster.yaml sets these lines\nreposdir=/x\n# END slipway\n"
    for _ in range(2):
        assert text_block(tmp_path, "put", conf, fragment, "main").returncode == 0
        assert conf.read_text() == after.format(block=block)
    assert text_block(tmp_path, "take-out", conf).returncode == 0
    assert conf.read_text() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link, fragment = tmp_path / "real", tmp_path / "hosts", tmp_path / "fragment"
    real.write_text("127.0.0.1 localhost\n")
    link.symlink_to(real)
    fragment.write_text("10.0.0.1 a\n")
    assert text_block(tmp_path, "put", link, fragment).returncode == 0
    assert link.is_symlink() and "10.0.0.1 a" in real.read_text()


def test_every_setting_has_been_judged() -> None:
    """The spec above asks for each setting that there is, so that none goes without a look."""
    made = cluster()
    unused = {
        component.name
        for component in COMPONENTS
        if type(component).__name__ == "HostSetting" and not component.runs_on(made, named_host(made, "w1").pool)
    }
    assert not unused
