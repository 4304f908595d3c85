"""Manifests: fixed order, nothing empty, secrets by name and id, and the same again when read as YAML."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generator.components.items import (
    HostDirectory,
    HostFile,
    HostItem,
    HostLink,
    HostUnit,
    HostUser,
    SecretRef,
    SecretTemplate,
    item_key,
)
from generator.errors import RenderError
from generator.formats.yaml_text import block_scalar
from generator.pki.request_material import RequestMaterial
from generator.render.flow import flow
from generator.render.levels import Folder
from generator.render.manifest import folder_files
from tests.render.small import small_cluster

MATERIAL = RequestMaterial(small_cluster())


def _files(*items: HostItem, component: str | None = "kubelet", absent: tuple[str, ...] = ()) -> dict[str, bytes]:
    folder = Folder({item_key(item): item for item in items}, absent)
    return dict(folder_files("small/cp1", "hosts/cp1", folder, component, MATERIAL))


def _manifest(*items: HostItem, **more: Any) -> Any:
    return yaml.safe_load(_files(*items, **more)["hosts/cp1/manifest.yaml"])


def test_a_file_stands_in_rootfs_and_its_manifest_does_not_repeat_it() -> None:
    files = _files(HostFile("/etc/x/y", "text\n", "kubelet", "nodes", restarts=("kubelet.service",)))
    assert files["hosts/cp1/rootfs/etc/x/y"] == b"text\n"
    assert files["hosts/cp1/manifest.yaml"].decode() == (
        "component: kubelet\nitems:\n- path: /etc/x/y\n  kind: file\n  mode: '0644'\n  owner: root\n  group: root\n"
        "  phase: nodes\n  restarts: [kubelet.service]\n"
    )


def test_a_private_key_is_a_name_and_an_id_and_no_file() -> None:
    files = _files(HostFile("/etc/key", SecretRef("pki/sa"), "kubelet", "nodes", 0o400))
    assert list(files) == ["hosts/cp1/manifest.yaml"]
    entry = yaml.safe_load(files["hosts/cp1/manifest.yaml"])["items"][0]
    assert (entry["kind"], entry["secret"], entry["id"]) == ("secret", "pki/sa", MATERIAL.secret_id("pki/sa"))
    assert entry["mode"] == "0400"


def test_a_template_lists_the_ids_of_its_slots_and_keeps_them_empty() -> None:
    text = "secret: {{secret:encryption/1}}\n"
    files = _files(HostFile("/etc/enc", SecretTemplate(text), "kubelet", "nodes"))
    assert files["hosts/cp1/rootfs/etc/enc"] == text.encode()
    entry = yaml.safe_load(files["hosts/cp1/manifest.yaml"])["items"][0]
    assert entry["secrets"] == {"encryption/1": MATERIAL.secret_id("encryption/1")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SecretRef("pki/nobody"), "small/cp1: kubelet: /etc/x: pki/nobody"),
        (SecretTemplate("{{secret:vrrp/password}}"), "small/cp1: kubelet: /etc/x: vrrp/password"),
        (SecretTemplate("{{secret:a b}}"), "'a b' is no slot"),
        (SecretTemplate("{{secret:encryption/1"), "a slot without its end"),
        (SecretTemplate("nothing secret"), "a template without a slot"),
    ],
)
def test_a_slot_or_reference_without_a_secret_is_an_error(content: SecretRef | SecretTemplate, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        _files(HostFile("/etc/x", content, "kubelet", "nodes"))
    assert message in str(caught.value)


def test_items_are_sorted_by_key_and_absent_keys_listed() -> None:
    manifest = _manifest(
        HostUnit("b.service", "kubelet", "nodes", start=False),
        HostUser("etcd", "kubelet"),
        HostLink("/usr/local/bin/a", "/opt/a", "kubelet", "nodes"),
        HostDirectory("/var/lib/a", "kubelet", "nodes", 0o700),
        absent=("/etc/gone", "unit:c.service"),
    )
    assert [entry.get("path") or entry["name"] for entry in manifest["items"]] == [
        "/usr/local/bin/a",
        "/var/lib/a",
        "b.service",
        "etcd",
    ]
    assert manifest["items"][2] == {"name": "b.service", "kind": "unit", "phase": "nodes", "start": False}
    assert manifest["absent"] == ["/etc/gone", "unit:c.service"]


def test_in_a_hosts_folder_every_item_names_its_component() -> None:
    manifest = _manifest(HostUser("etcd", "etcd"), component=None)
    assert manifest == {"items": [{"component": "etcd", "name": "etcd", "kind": "user", "phase": "host-base"}]}


_TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u0085\u2028\u2029\ufeff"))


@given(
    st.recursive(_TEXT | st.integers() | st.booleans(), lambda below: st.lists(below) | st.dictionaries(_TEXT, below))
)
def test_flow_text_reads_back_as_the_same_value(value: Any) -> None:
    text = flow([value])
    assert "\n" not in text
    assert yaml.safe_load(text) == [value]


@given(_TEXT)
def test_block_scalars_read_back_as_the_same_text(value: str) -> None:
    text = block_scalar(value)
    assert "\n" not in text
    assert yaml.safe_load(f"key: {text}") == {"key": value}
