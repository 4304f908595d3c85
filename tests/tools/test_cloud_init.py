"""cloud-init itself judges user-data, and lays its parts over each other; a POSIX shell does the first steps."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet import seed
from fleet.tokens import Token
from fleet.tree import load
from fleet.user_data import part_with, user_data
from generator.formats.cloud_config import FORMS, Form, formed, whole
from generator.render.tree import write
from tests.golden.cases import CLUSTERS, VARIATIONS
from tests.render.user_data_of import case, locked, parts, tree_of

pytestmark = pytest.mark.tools

READS = Path(__file__).with_name("cloud_init_reads.py")
PYTHON = "/usr/bin/python3"
SCRIPT = resources.files("generator.render") / "first-boot.sh"


def cloud_init() -> str:
    found = shutil.which("cloud-init")
    if found is None:
        pytest.skip("cloud-init is not installed")
    return found


def read_by_cloud_init(content: bytes, folder: Path) -> Any:
    cloud_init()
    (folder / "given").write_bytes(content)
    done = subprocess.run([PYTHON, str(READS), str(folder), str(folder / "given")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*CLUSTERS, *VARIATIONS])
def test_its_schema_finds_nothing(name: str, tmp_path: Path) -> None:
    model = case(name)
    tree = tree_of(model, locked(model))
    texts = {path: text for path, text in tree.items() if path.startswith("cloud-init/") or path.endswith("/user-data")}
    # One host of each pool stands for the rest: a run of cloud-init takes a second.
    hosts = {host.pool.name: host.name for host in model.hosts}
    texts = {
        path: text for path, text in texts.items() if "cloud-init/" in path or path.split("/")[1] in hosts.values()
    }
    texts |= {f"{host}-whole": whole(parts(tree, model, host)).encode() for host in hosts.values()}
    for number, text in enumerate(texts.values()):
        file = tmp_path / str(number)
        file.write_bytes(text)
        done = subprocess.run([cloud_init(), "schema", "--config-file", str(file)], capture_output=True, text=True)
        assert done.returncode == 0 and "Valid" in done.stdout, (list(texts)[number], done.stdout, done.stderr)
        assert not done.stderr.strip(), done.stderr


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_both_parts_given_to_cloud_init_are_what_the_verb_puts_together(host: str, tmp_path: Path) -> None:
    model = case("host-override")
    both = parts(tree_of(model), model, host)
    message = MIMEMultipart()
    for part in both:
        one = MIMENonMultipart("text", "cloud-config", charset="utf-8")
        one.set_payload(part.text(), "utf-8")
        message.attach(one)
    merged = read_by_cloud_init(message.as_bytes(), tmp_path)
    together = yaml.safe_load(whole(both))
    for extra in ("merge_how", "merge_type"):
        merged.pop(extra, None)
    assert merged == together


@pytest.mark.parametrize("form", FORMS)
def test_cloud_init_reads_every_form_alike(form: Form, tmp_path: Path) -> None:
    model = case("minimal")
    text = whole(parts(tree_of(model), model, "cp1"))
    found = read_by_cloud_init(formed(text, form), tmp_path)
    found.pop("merge_how", None)
    assert found == yaml.safe_load(text)


def test_shellcheck_finds_nothing_in_the_first_steps() -> None:
    judge = shutil.which("shellcheck")
    if judge is None:
        pytest.skip("shellcheck is not installed")
    words = [judge, "--shell=sh", "--severity=warning", str(SCRIPT)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


class Sandbox:
    """A root folder in which the first steps are done, with stand-ins for what would change this machine."""

    def __init__(self, folder: Path, steps: str, *, own: str = "", join: str = "") -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.here = self.root / "run/slipway"
        self.here.mkdir(parents=True)
        (self.root / "usr/sbin").mkdir(parents=True)
        self.bin.mkdir()
        for name, text in (("pool", steps), ("host", own), ("join", join)):
            if text:
                (self.here / f"first-boot.{name}").write_text(text)
        self.program(
            "systemctl", 'case "$*" in *is-active*chrony*) exit 1 ;; *enabled*) echo ssh.service enabled ;; esac'
        )
        for name in ("systemd-sysusers", "chown", "apt-get"):
            self.program(name, ":")
        self.program("dpkg-query", "printf missing")

    def program(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>"{self.log}"\n{body}\n')
        path.chmod(0o755)

    def run(self, *phases: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "SLIPWAY_ROOT": str(self.root)}
        words = ["sh", str(SCRIPT), *phases]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)

    @property
    def told(self) -> list[str]:
        return self.log.read_text().splitlines()


def lines(*steps: str) -> str:
    return "".join("\t".join(step.split(" ")) + "\n" for step in steps)


def test_the_first_steps_are_done_in_the_order_of_an_apply(tmp_path: Path) -> None:
    sandbox = Sandbox(
        tmp_path,
        lines(
            "host-base package socat", "host-base package kmod", "host-base user etcd -",
            "host-base user kube-apiserver kube-sa", "host-base directory /srv/a 0750 etcd etcd",
            "host-base restart systemd-sysctl.service", "host-base restart chrony.service",
            "host-base reload data.mount",
            "runtime link /usr/local/bin/x /opt/x/1/x", "runtime enable x.service", "runtime start x.service",
        ),
        own=lines("runtime directory /srv/own 0700 root root"),
        join=lines("nodes start kubelet.service"),
    )  # fmt: skip
    done = sandbox.run("host-base", "runtime", "nodes")
    assert done.returncode == 0, done.stderr
    assert (sandbox.root / "srv/a").stat().st_mode & 0o777 == 0o750 and (sandbox.root / "srv/own").is_dir()
    assert os.readlink(sandbox.root / "usr/local/bin/x") == "/opt/x/1/x"
    order = ["apt-get", "systemd-sysusers", f"chown -- etcd:etcd {sandbox.root}/srv/a", "try-restart systemd-sysctl",
             "try-reload-or-restart data.mount",
             "enable x.service", "start x.service", "start kubelet.service"]  # fmt: skip
    places = [next(at for at, line in enumerate(sandbox.told) if word in line) for word in order]
    assert places == sorted(places)
    assert any("install socat kmod" in line for line in sandbox.told)
    assert not any("try-restart chrony" in line for line in sandbox.told)
    assert not (sandbox.root / "usr/sbin/policy-rc.d").exists()


def test_what_a_host_does_not_have_of_its_pool_goes(tmp_path: Path) -> None:
    sandbox = Sandbox(
        tmp_path,
        lines("runtime enable x.service", "runtime directory /srv/a 0755 root root", "runtime enable y.service"),
        own=lines("- absent /etc/x", "- absent unit:x.service", "- absent /srv/a"),
    )
    (sandbox.root / "etc").mkdir()
    (sandbox.root / "etc/x").write_text("of the pool")
    assert sandbox.run("runtime").returncode == 0
    assert not (sandbox.root / "etc/x").exists() and not (sandbox.root / "srv/a").exists()
    assert [line for line in sandbox.told if "enable" in line] == ["systemctl --quiet enable y.service"]


def test_a_binary_is_proved_before_it_is_in_place(tmp_path: Path) -> None:
    program = tmp_path / "kubelet"
    program.write_text("program\n")
    archive = tmp_path / "x.tar.gz"
    subprocess.run(["tar", "-czf", str(archive), "-C", str(tmp_path), "kubelet"], check=True)
    good, packed = (
        subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout[:64]
        for path in (program, archive)
    )
    sandbox = Sandbox(
        tmp_path / "s",
        lines(
            f"binaries fetch /opt/kubelet/1/kubelet - {good} file://{program}",
            f"binaries fetch /opt/bad/1/kubelet - {'0' * 64} file://{program}",
            f"binaries fetch /opt/x/1/kubelet kubelet {packed} file://{archive}",
        ),
    )  # fmt: skip
    done = sandbox.run("binaries")
    assert (
        done.returncode == 1 and "artifacts.lock says" in done.stderr and "1 of the first steps failed" in done.stderr
    )
    for path in ("opt/kubelet/1/kubelet", "opt/x/1/kubelet"):
        assert (sandbox.root / path).read_text() == "program\n" and os.access(sandbox.root / path, os.X_OK)
    assert not (sandbox.root / "opt/bad/1/kubelet").exists()
    assert [path.name for path in (sandbox.root / "var/lib/slipway").iterdir()] == ["first-boot"]


def test_a_joining_hosts_user_data_is_good_and_its_units_too(tmp_path: Path) -> None:
    model = case("minimal")
    write(tree_of(model, locked(model)), tmp_path / "rendered")
    tree = load(tmp_path / "rendered")
    host = tree.hosts["w1"]
    phase = next(one for one in tree.phases if one.join)
    part = part_with("minimal", phase, host, Token("abcdef", "0123456789abcdef"), datetime(2030, 1, 1, tzinfo=UTC))
    file = tmp_path / "user-data"
    file.write_text(user_data(tree, host, part))
    done = subprocess.run([cloud_init(), "schema", "--config-file", str(file)], capture_output=True, text=True)
    assert "Valid" in done.stdout, done.stderr
    written = {entry["path"]: entry for entry in yaml.safe_load(file.read_text())["write_files"]}
    assert written["/run/slipway/bootstrap-kubelet.kubeconfig"]["permissions"] == "0600"
    units = tmp_path / "units"
    units.mkdir()
    for name in ("slipway-join.path", "slipway-join.service"):
        (units / name).write_text(written[f"/run/systemd/system/{name}"]["content"])
    judge = shutil.which("systemd-analyze")
    if judge is not None:
        words = [judge, "verify", "--man=no", *(str(path) for path in sorted(units.iterdir()))]
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
        assert done.returncode == 0 and "slipway-join" not in done.stderr, done.stderr


def test_a_seed_can_be_read_and_its_instance_changes_with_what_it_holds() -> None:
    pycdlib = pytest.importorskip("pycdlib")
    files = seed.seed_files("prod", "w1", b"#cloud-config\n", b"version: 2\n")
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(seed.iso(files)))
    assert image.pvd.volume_identifier.decode().strip() == "cidata"
    for name, content in files.items():
        for way in ({"rr_path": f"/{name}"}, {"joliet_path": f"/{name}"}):
            read = io.BytesIO()
            image.get_file_from_iso_fp(read, **way)
            assert read.getvalue() == content
    other = seed.seed_files("prod", "w1", b"#cloud-config\nhostname: x\n")
    assert set(other) == {"meta-data", "user-data"} and other["meta-data"] != files["meta-data"]
    assert yaml.safe_load(files["meta-data"])["local-hostname"] == "w1"
