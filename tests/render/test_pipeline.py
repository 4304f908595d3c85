"""From the spec to rendered/<c>: how far an edit reaches, what a failure leaves, and what check finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fleet.tree import load as load_tree
from generator.errors import RenderError, SpecError
from generator.pki.listing import certificate_list
from generator.pki.store import PkiStore
from generator.render import changes, current_tree, diff
from generator.spec import load
from tests.render.workspace import NOW, Workspace

THIRD: dict[str, Any] = {"w3": {"pool": "workers", "address": "10.0.1.3", "podSubnet": "10.244.13.0/24"}}
NODES = "objects/00-cluster-rbac/ConfigMap-kube-system-slipway-nodes.yaml"


@pytest.fixture
def edited(rendered: Workspace) -> Iterator[Workspace]:
    yield rendered
    rendered.edit({})
    assert rendered.check() == []


def _changed(space: Workspace) -> list[str]:
    return changes(space.rendered, current_tree(space.root, load(space.root, "prod"))).lines()


def _added_lines(old: bytes, new: bytes) -> list[str]:
    before, after = old.decode().splitlines(), new.decode().splitlines()
    assert set(before) <= set(after)
    return [line for line in after if line not in before]


def test_rendering_again_changes_nothing(rendered: Workspace) -> None:
    report = rendered.render()
    assert not report.changes and not report.issued.changed
    assert report.files == len(rendered.tree())


def test_a_removed_tree_comes_back_byte_for_byte(workspace: Workspace) -> None:
    import shutil

    workspace.render()
    before = workspace.tree()
    shutil.rmtree(workspace.rendered)
    workspace.render()
    assert workspace.tree() == before


def test_the_tree_is_what_fleet_reads(rendered: Workspace) -> None:
    tree = load_tree(rendered.rendered)
    assert list(tree.hosts) == ["cp1", "w1", "w2"]
    assert tree.hosts["w1"].digest != tree.hosts["w2"].digest


def test_a_new_worker_is_one_folder_one_line_of_inventory_one_of_the_node_list_and_one_route(edited: Workspace) -> None:
    before = edited.tree()
    edited.edit({"hosts": THIRD})
    lines = _changed(edited)
    routes = "components/bridge/rootfs/etc/bridge/routes"
    assert [line for line in lines if not line.startswith("+ hosts/w3/")] == [
        f"~ {routes}",
        "~ inventory.yaml",
        f"~ {NODES}",
    ]
    tree = current_tree(edited.root, load(edited.root, "prod"))
    for path in (routes, "inventory.yaml", NODES):
        assert len(_added_lines(before[path], tree[path])) == 1, path


def test_a_kubelet_flag_of_the_cluster_changes_one_file_and_the_list_of_overrides(edited: Workspace) -> None:
    edited.edit({"components": {"kubelet": {"flags": {"v": 4}}}})
    assert _changed(edited) == ["~ components/kubelet/rootfs/etc/systemd/system/kubelet.service", "~ overrides.yaml"]


def test_a_kubelet_flag_of_one_host_touches_that_hosts_folder_only(edited: Workspace) -> None:
    edited.edit({"hosts": {"w2": {"components": {"kubelet": {"flags": {"v": 4}}}}}})
    assert _changed(edited) == [
        "~ hosts/w2/manifest.yaml",
        "+ hosts/w2/rootfs/etc/systemd/system/kubelet.service",
        "~ overrides.yaml",
    ]


def test_another_pool_changes_no_folder_that_was_there(edited: Workspace) -> None:
    pool = {"roles": ["worker"], "os": "rocky-9", "arch": "arm64", "components": {"kubelet": {"flags": {"v": 4}}}}
    edited.edit({"pools": {"arm": pool}, "hosts": {"w3": {**THIRD["w3"], "pool": "arm"}}})
    others = [line for line in _changed(edited) if not re.match(r"\+ (components/[a-z-]+@arm|hosts/w3)/", line)]
    routes = "components/bridge/rootfs/etc/bridge/routes"
    assert others == ["~ bom.yaml", f"~ {routes}", "~ inventory.yaml", f"~ {NODES}", "~ overrides.yaml", "~ ports.yaml"]


def test_an_own_file_is_activated_in_the_phase_of_the_unit_that_it_restarts(edited: Workspace) -> None:
    (edited.inputs / "files").mkdir(exist_ok=True)
    (edited.inputs / "files" / "nice.conf").write_text("[Service]\nNice=-5\n")
    path = "/etc/systemd/system/kubelet.service.d/50-nice.conf"
    edited.edit({"files": [{"path": path, "source": "files/nice.conf", "restarts": ["kubelet.service"]}]})
    tree = current_tree(edited.root, load(edited.root, "prod"))
    assert b"phase: nodes" in tree["components/files/manifest.yaml"]
    assert tree[f"components/files/rootfs{path}"] == b"[Service]\nNice=-5\n"


def test_an_own_file_may_not_take_a_path_of_a_component(edited: Workspace) -> None:
    (edited.inputs / "files").mkdir(exist_ok=True)
    (edited.inputs / "files" / "x").write_text("")
    edited.edit({"files": [{"path": "/etc/kubernetes/kubelet.yaml", "source": "files/x"}]})
    with pytest.raises(
        RenderError, match=r"^prod/cp1: files: /etc/kubernetes/kubelet\.yaml is also put there by kubelet; "
    ):
        edited.render()


@pytest.mark.parametrize(
    "patch",
    [
        {"hosts": {"w1": {"address": "10.0.0.1"}}},
        {"components": {"kubelet": {"flags": {"nonsense": 1}}}},
    ],
)
def test_a_failed_render_leaves_the_old_tree_whole(edited: Workspace, patch: dict[str, Any]) -> None:
    before, inputs = edited.tree(), sorted(edited.inputs.rglob("*"))
    edited.edit(patch)
    with pytest.raises(SpecError):
        edited.render()
    assert edited.tree() == before
    assert sorted(edited.inputs.rglob("*")) == inputs


def test_a_jsonnet_fault_leaves_the_old_tree_whole(edited: Workspace) -> None:
    before = edited.tree()
    (edited.inputs / "addons.jsonnet").write_text("{ broken")
    try:
        with pytest.raises(RenderError):
            edited.render()
        assert edited.tree() == before
    finally:
        (edited.inputs / "addons.jsonnet").unlink()


def test_sets_of_the_users_own_are_applied_after_the_nodes(edited: Workspace) -> None:
    own = "{ '20-x': { a: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } } } }"
    (edited.inputs / "addons.jsonnet").write_text(own)
    try:
        tree = current_tree(edited.root, load(edited.root, "prod"))
    finally:
        (edited.inputs / "addons.jsonnet").unlink()
    last = yaml.safe_load(tree["phases.yaml"])["phases"][-1]
    assert last["name"] == "addons" and last["objects"] == sorted(last["objects"]) and "20-x" in last["objects"]
    assert {"kind": "accepted"} in last["gates"]
    assert "objects/20-x/Namespace-x.yaml" in tree


def test_the_page_of_certificates_says_what_was_issued(rendered: Workspace) -> None:
    page = {entry["name"]: entry for entry in yaml.safe_load(rendered.tree()["pki.yaml"])["certificates"]}
    issued = certificate_list(load(rendered.root, "prod"), PkiStore(rendered.inputs), NOW)
    assert set(page) == {one.name for one in issued}
    for one in issued:
        entry = page[one.name]
        assert (entry["subject"], entry["fingerprint"], entry["keyId"]) == (one.subject, one.fingerprint, one.key_id)
        assert tuple(entry.get("sans", ())) == one.sans
        assert str(entry["notAfter"]) in {one.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"), str(one.not_after)}


def test_check_finds_what_was_edited_by_hand_and_writes_nothing(workspace: Workspace) -> None:
    workspace.render()
    unit = "components/kubelet/rootfs/etc/systemd/system/kubelet.service"
    (workspace.rendered / unit).write_text("edited")
    (workspace.rendered / "bom.yaml").unlink()
    (workspace.rendered / "hosts" / "extra").write_text("x")
    before = workspace.tree()
    assert workspace.check() == ["+ bom.yaml", f"~ {unit}", "- hosts/extra"]
    assert workspace.tree() == before


def test_check_never_issues(workspace: Workspace) -> None:
    with pytest.raises(RenderError, match=r"certs\.issue|invoke render"):
        workspace.check()
    assert not (workspace.inputs / "pki").exists()


def test_the_tree_holds_no_private_key(rendered: Workspace) -> None:
    for path, content in rendered.tree().items():
        assert not re.search(rb"-----BEGIN [A-Z ]*PRIVATE" + rb" KEY", content), path
        assert b"AGE ENCRYPTED" not in content, path


def test_diff_folds_hosts_that_change_alike(edited: Workspace) -> None:
    edited.edit({"api": {"balancerPort": 9443}, "pki": {"kubeProxyCertificate": False}})
    tree = dict(current_tree(edited.root, load(edited.root, "prod")))
    for host in ("w1", "w2"):
        tree[f"hosts/{host}/rootfs/etc/motd"] = b"hello\n"
    text = "\n".join(diff(edited.rendered, tree))
    assert "+++ rendered/prod/hosts/{w1,w2}/rootfs/etc/motd" in text
    assert text.count("+hello") == 1
    assert "-  server: https://127.0.0.1:8443" in text.replace("-    server", "-  server")


def test_diff_of_nothing_is_empty(rendered: Workspace) -> None:
    assert list(diff(rendered.rendered, rendered.tree())) == []
