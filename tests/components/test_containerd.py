from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest
import yaml

from generator.components.containerd import COMPONENT, CONFIG, config_version
from generator.components.items import HostBinary, HostFile, HostLink, SecretTemplate
from generator.errors import RenderError
from tests.components.clusters import NamedMaterial, cluster, of_pool, shared, text


def config(version: str, **more: str) -> dict[str, Any]:
    runtime = f'runtime: {{cgroupDriver: {more.get("driver", "systemd")}, sandboxImage: "r.example/pause:1"}}'
    made = cluster("1.32.0", f"{runtime}\n{more.get('more', '')}")
    made = replace(made, versions=replace(made.versions, containerd=version))
    return tomllib.loads(text(shared(COMPONENT, made), CONFIG))


@pytest.mark.parametrize("version", ["1.6.20", "1.7.29", "2.0.5", "2.2.3", "2.3.0"])
def test_format_follows_version(version: str) -> None:
    expected = 2 if version.startswith("1.") else 3
    assert config_version(version) == expected
    assert config(version)["version"] == expected


@pytest.mark.parametrize(("driver", "systemd"), [("systemd", True), ("cgroupfs", False)])
def test_cgroup_driver_image_and_stream_port(driver: str, systemd: bool) -> None:
    old = config("1.7.29", driver=driver)["plugins"]["io.containerd.grpc.v1.cri"]
    assert old["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is systemd
    assert old["sandbox_image"] == "r.example/pause:1"
    assert (old["stream_server_address"], old["stream_server_port"]) == ("127.0.0.1", "10010")
    new = config("2.2.3", driver=driver)["plugins"]
    assert new["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is systemd
    assert new["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == "r.example/pause:1"
    assert new["io.containerd.grpc.v1.cri"] == {"stream_server_address": "127.0.0.1", "stream_server_port": "10010"}


def test_plugin_folders_have_the_field_of_their_version() -> None:
    assert config("2.0.5")["plugins"]["io.containerd.cri.v1.runtime"]["cni"]["bin_dir"] == "/opt/cni/bin"
    assert config("2.1.0")["plugins"]["io.containerd.cri.v1.runtime"]["cni"]["bin_dirs"] == ["/opt/cni/bin"]


def test_an_override_is_merged_deep() -> None:
    more = """
components:
  containerd: {config: {plugins: {"io.containerd.grpc.v1.cri": {restrict_oom_score_adj: true}}}}
"""
    plugin = config("1.6.20", more=more)["plugins"]["io.containerd.grpc.v1.cri"]
    assert plugin["restrict_oom_score_adj"] is True
    assert plugin["stream_server_port"] == "10010"


def test_registries_keep_the_order_of_mirrors() -> None:
    made = cluster(
        more="""
        runtime:
          registries:
          - {host: docker.io, mirrors: ["https://z.example", "https://a.example/v2/hub"], skipVerify: true}
          - {host: "own.example:5000", skipVerify: true}
        """
    )
    items = shared(COMPONENT, made)
    docker = tomllib.loads(text(items, "/etc/containerd/certs.d/docker.io/hosts.toml"))
    assert docker["server"] == "https://registry-1.docker.io"
    assert "skip_verify" not in docker  # not for the public registry behind the mirrors
    assert list(docker["host"]) == ["https://z.example", "https://a.example/v2/hub"]
    assert docker["host"]["https://z.example"] == {"capabilities": ["pull", "resolve"], "skip_verify": True}
    assert docker["host"]["https://a.example/v2/hub"]["override_path"] is True
    own = tomllib.loads(text(items, "/etc/containerd/certs.d/own.example:5000/hosts.toml"))
    assert own == {"server": "https://own.example:5000", "skip_verify": True}


@pytest.mark.parametrize(
    ("version", "plugin"), [("1.6.20", "io.containerd.grpc.v1.cri"), ("2.2.3", "io.containerd.cri.v1.images")]
)
def test_credentials_are_slots_in_a_file_for_root_alone(version: str, plugin: str) -> None:
    made = cluster(
        more="""
        runtime:
          registries:
          - {host: docker.io, credentials: true}
          - {host: "own.example:5000", credentials: true}
          - {host: "open.example"}
        """
    )
    made = replace(made, versions=replace(made.versions, containerd=version))
    item = shared(COMPONENT, made)[CONFIG]
    assert isinstance(item, HostFile) and isinstance(item.content, SecretTemplate)
    assert (item.mode, item.owner, item.restarts) == (0o400, "root", ("containerd.service",))
    assert tomllib.loads(item.content.text)["plugins"][plugin]["registry"]["configs"] == {
        "registry-1.docker.io": {"auth": {"auth": "{{secret:registry/docker.io}}"}},
        "own.example:5000": {"auth": {"auth": "{{secret:registry/own.example_5000}}"}},
    }


def test_credentials_that_nobody_has_sealed_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cluster(more="runtime: {registries: [{host: own.example, credentials: true}]}")

    def nothing(_: object, name: str) -> str:
        raise RenderError(f"{name} is not sealed")

    monkeypatch.setattr(NamedMaterial, "secret_id", nothing)
    with pytest.raises(
        RenderError, match=r"no credentials for own\.example are sealed; run `invoke secrets.set --name"
    ):
        shared(COMPONENT, made)


def test_only_the_daemon_restarts_and_for_config_unit_and_link() -> None:
    items = shared(COMPONENT, cluster())
    restarting = {key for key, item in items.items() if isinstance(item, (HostFile, HostLink)) and item.restarts}
    assert restarting == {CONFIG, "/etc/systemd/system/containerd.service", "/usr/local/bin/containerd"}


def test_every_link_leads_to_a_binary_of_the_pool() -> None:
    made = cluster()
    links = {item.target for item in shared(COMPONENT, made).values() if isinstance(item, HostLink)}
    binaries = [item for item in of_pool(COMPONENT, made, "workers").values() if isinstance(item, HostBinary)]
    assert links == {item.path for item in binaries}
    assert {item.arch for item in binaries} == {"arm64"}


def test_crictl_can_be_left_off() -> None:
    made = cluster()
    made = replace(made, versions=replace(made.versions, crictl=""))
    keys = {*shared(COMPONENT, made), *of_pool(COMPONENT, made, "workers")}
    assert not {key for key in keys if "crictl" in key}


def test_crictl_asks_containerd() -> None:
    socket = "unix:///run/containerd/containerd.sock"
    written = yaml.safe_load(text(shared(COMPONENT, cluster()), "/etc/crictl.yaml"))
    assert written == {"runtime-endpoint": socket, "image-endpoint": socket, "timeout": 30}
