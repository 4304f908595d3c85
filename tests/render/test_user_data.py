"""User-data brings exactly what was reviewed, no secret, and changes no more than what changed."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.tree import load
from generator.errors import RenderError
from generator.formats.cloud_config import Part, file_entry, formed, part_of, sizes, whole
from generator.render.tree import write
from generator.render.user_data import form_for, size_lines
from generator.spec.clouds import TARGETS
from generator.spec.model import ExtraFile, Source
from generator.spec.sections import CloudInit
from tests.golden.cases import cluster, cluster_tree, variation
from tests.render.user_data_of import case, landed, locked, parts, tree_of, with_user_data

CASES = ("minimal", "ha", "host-override", "pool-override", "registry-credentials", "kube-proxy-certificate",
         "load-balancer-hosts", "separate-etcd", "arch-mixed")  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_was_reviewed_is_what_lands(name: str, tmp_path: Path) -> None:
    model = case(name)
    tree = tree_of(model)
    write(tree, tmp_path / "rendered")
    for host in load(tmp_path / "rendered").hosts.values():
        there = landed(tree, model, host.name)
        items = [item for item in host.items if not item.is_secret]
        files = {
            one.path: (one.content.decode(), one.mode, one.owner, one.group) for one in items if one.kind == "file"
        }
        assert there.files == files
        links = {one.path: one.target for one in items if one.kind == "link"}
        assert dict(sorted(there.steps.get("link", []))) == links
        # A host's own line comes after its pool's and holds.
        folders = {path: (int(mode, 8), owner, group) for path, mode, owner, group in there.steps["directory"]}
        assert folders == {one.path: (one.mode, one.owner, one.group) for one in items if one.kind == "directory"}
        assert {one for (one,) in there.steps.get("package", [])} == {
            one.name for one in items if one.kind == "package"
        }
        assert {name: groups.strip("-") for name, groups in there.steps.get("user", [])} == {
            one.name: ",".join(one.groups) for one in items if one.kind == "user"
        }
        assert there.config["hostname"] == host.name


def test_no_secret_and_nothing_with_a_slot_is_in_it() -> None:
    tree = tree_of(case("registry-credentials"))
    texts = [text for path, text in tree.items() if path.startswith("cloud-init/") or path.endswith("/user-data")]
    assert texts
    for text in texts:
        assert b"{{secret:" not in text and b".key\n  permissions" not in text and b"PRIVATE KEY" not in text


def test_files_of_another_owner_get_it_after_the_users_are_there() -> None:
    model = case("minimal")
    extra = ExtraFile("/etc/own.conf", "x\n", 0o640, "etcd", "etcd", (), (), Source("cluster.yaml", 1))
    there = landed(tree_of(replace(model, files=(extra,))), model, "cp1")
    assert there.files["/etc/own.conf"] == ("x\n", 0o640, "etcd", "etcd")
    entry = next(one for one in there.config["write_files"] if one["path"] == "/etc/own.conf")
    assert entry["owner"] == "root:root"


def test_without_the_section_there_is_no_user_data() -> None:
    assert not [path for path in cluster_tree("minimal") if "cloud-init" in path or path.endswith("user-data")]


def test_one_flag_changes_the_parts_of_pools_and_one_hosts_flag_that_host_alone() -> None:
    model = with_user_data(cluster("ha"))
    before = tree_of(model)
    kubelet = {"kubelet": replace(model.hosts[-1].components["kubelet"], flags={"v": 5})}
    everywhere = tree_of(replace(model, components={**model.components, **kubelet}))
    changed = {path for path in before if before[path] != everywhere[path]}
    assert {path for path in changed if "cloud-init" in path or path.endswith("user-data")} == {
        "cloud-init/control.yaml", "cloud-init/workers.yaml",
    }  # fmt: skip
    one = next(host for host in model.hosts if host.name == "worker-001")
    hosts = tuple(replace(host, components=kubelet) if host is one else host for host in model.hosts)
    there = tree_of(replace(model, hosts=hosts))
    changed = {path for path in there if before.get(path) != there[path]} - {"overrides.yaml"}
    assert all(path.startswith("hosts/worker-001/") for path in changed)
    assert before["hosts/worker-001/user-data"] != there["hosts/worker-001/user-data"]


@pytest.mark.parametrize(
    ("lock", "enabled", "started"),
    [
        # Programs are pushed later: only nginx of the distribution and scripts of ours can run.
        (False, {"apiserver-balancer.service", "bridge-routes.service", "kube-proxy.path", "etcd.service",
                 "slipway-swap-off.service"},
         {"apiserver-balancer.service", "bridge-routes.service", "slipway-swap-off.service"}),
        (True, {"apiserver-balancer.service", "bridge-routes.service", "kube-proxy.path", "etcd.service",
                "containerd.service", "slipway-swap-off.service"},
         {"apiserver-balancer.service", "bridge-routes.service", "containerd.service", "slipway-swap-off.service"}),
    ],
)  # fmt: skip
def test_a_unit_runs_only_where_nothing_of_it_is_missing(lock: bool, enabled: set[str], started: set[str]) -> None:
    model = case("minimal")
    tree = tree_of(model, locked(model) if lock else None)
    there = landed(tree, model, "cp1")
    assert {one for (one,) in there.steps["enable"]} == enabled
    assert {one for (one,) in there.steps["start"]} == started
    assert bool(there.steps.get("fetch")) is lock


def test_hosts_fetch_only_where_the_spec_says_so() -> None:
    model = case("minimal")
    pushed = replace(model, artifacts=replace(model.artifacts, fetch="push"))
    assert "fetch" not in landed(tree_of(pushed, locked(model)), model, "w1").steps
    fetches = landed(tree_of(model, locked(model)), model, "w1").steps["fetch"]
    kubelet = next(words for words in fetches if words[0].endswith("/kubelet"))
    assert kubelet[1:3] == ("-", "ab" * 32) and kubelet[3].startswith("https://")


def test_a_mount_is_reloaded_and_never_restarted() -> None:
    model = case("data-disk")
    there = landed(tree_of(model), model, "w1")
    assert ("var-lib-kubelet.mount",) in there.steps["reload"]
    assert not [unit for (unit,) in there.steps["restart"] if unit.endswith(".mount")]


def test_a_host_without_an_item_of_its_pool_says_so() -> None:
    model = case("minimal")
    own = replace(model.hosts[0].pool.components.get("kubelet") or _override(), flags={"v": 4})
    hosts = tuple(replace(one, components={"kubelet": own}) if one.name == "w1" else one for one in model.hosts)
    there = landed(tree_of(replace(model, hosts=hosts)), model, "w1")
    assert "--v=4" in there.files["/etc/systemd/system/kubelet.service"][0]


def _override() -> object:
    return next(host for host in cluster("ha").hosts if host.components).components["kubelet"]


def test_only_the_base_on_request() -> None:
    model = with_user_data(cluster("minimal"), CloudInit(("aws",), (), False))
    there = landed(tree_of(model), model, "cp1")
    assert "/etc/sysctl.d/90-slipway.conf" in there.files and "/etc/systemd/system/kubelet.service" not in there.files
    assert there.config["runcmd"] == [["sh", "/run/slipway/first-boot", "host-base"]]
    assert "users" not in there.config


@pytest.mark.parametrize(
    ("name", "host", "path"),
    [
        ("system-package-sources", "cp1", "/etc/slipway/apt/slipway-base.sources"),
        ("system-package-sources", "w1", "/etc/slipway/yum.repos.d/slipway-base-el9.repo"),
        ("system-proxy", "w1", "/etc/slipway/dnf.conf"),
    ],
)
def test_the_base_has_the_sources_of_its_packages_before_them(name: str, host: str, path: str) -> None:
    model = with_user_data(variation(name), CloudInit(("aws",), (), False))
    there = landed(tree_of(model), model, host)
    assert path in there.files
    assert there.config["runcmd"] == [["sh", "/run/slipway/first-boot", "package-sources", "host-base"]]
    assert "/etc/systemd/system/kubelet.service" not in there.files
    if host == "w1":
        assert ("slipway-dnf-conf.service",) in there.steps["start"]


@pytest.mark.parametrize(
    ("name", "plain", "gzip_size", "form"),
    [
        ("nocloud", 10**9, 10**8, "plain"),
        ("aws", 16384, 9000, "plain"),
        ("aws", 16385, 16384, "gzip"),
        ("aws", 16385, 16385, None),
        ("hetzner", 32769, 20000, "mime"),
        ("openstack", 49149, 40000, "plain"),
        ("openstack", 49150, 40000, "gzip"),
        ("openstack", 65000, 49150, None),
    ],
)
def test_the_form_is_the_most_readable_that_fits(name: str, plain: int, gzip_size: int, form: str | None) -> None:
    found = {"plain": plain, "gzip": gzip_size, "mime": gzip_size * 4 // 3 + 300}
    assert form_for([TARGETS[name]], found) == form


def test_what_no_form_makes_small_enough_is_refused_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_user_data(cluster("minimal"), CloudInit(("aws", "nocloud"), (), True))
    assert tree_of(model)
    assert any("aws gzip of at most 16,384" in line for line in size_lines(model, tree_of(model)))
    monkeypatch.setitem(TARGETS, "aws", replace(TARGETS["aws"], limit=4000))  # type: ignore[arg-type]
    with pytest.raises(RenderError, match=r"minimal/cp1: user-data has .* aws takes 4,000; .*host-base"):
        tree_of(model)


def test_sizes_are_those_of_the_forms() -> None:
    text = whole(parts(tree_of(case("minimal")), case("minimal"), "cp1"))
    found = sizes(text)
    assert {form: len(formed(text, form)) for form in found} == dict(found)
    assert gzip.decompress(formed(text, "gzip")).decode() == text and formed(text, "mime").isascii()


@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=60))
def test_any_text_comes_back_as_it_was(content: str) -> None:
    entry = yaml.safe_load(file_entry("/etc/x y", content, 0o640, "etcd", "kube-sa"))
    assert entry == [{"path": "/etc/x y", "permissions": "0640", "owner": "etcd:kube-sa", "content": content}]


def test_a_part_is_read_as_it_was_written() -> None:
    for part in (
        Part(("one", "two"), "hostname: x\n", file_entry("/a", "write_files:\n", 0o644)),
        Part((), "hostname: x\n", ""),
        Part((), "", file_entry("/a", "", 0o644)),
    ):
        assert part_of(part.text()) == part
    with pytest.raises(ValueError, match="no part"):
        part_of("#cloud-config\nhostname: x\n")
