from __future__ import annotations

import pytest

from generator.components.apiserver_balancer import COMPONENT, CONFIG, UNIT
from generator.components.items import HostFile, HostItem, HostPackage
from generator.errors import RenderError
from tests.components.clusters import cluster, of_host, of_pool, shared, text

FOLDER = "/etc/apiserver-balancer"
LB = {
    "pools": "lb: {roles: [load-balancer], os: rocky-9, arch: amd64}",
    "hosts": "lb1: {pool: lb, address: 10.0.3.1}",
    "more": "api: {endpoint: {host: api.example.net, port: 443}}",
}


def test_workers_share_all_api_servers() -> None:
    nginx = text(shared(COMPONENT, cluster()), CONFIG)
    for number in (1, 2, 3):
        assert f"server 10.0.0.{number}:6443 max_fails=2 fail_timeout=10s;" in nginx
    assert "backup" not in nginx
    assert "passive" in nginx
    assert of_host(COMPONENT, cluster(), "worker1") == {}


def test_a_control_plane_host_prefers_its_own() -> None:
    made = cluster()
    own = text(of_host(COMPONENT, made, "cp2"), f"{FOLDER}/upstream-own.conf")
    servers = [line.split()[1] for line in own.splitlines() if "server " in line]
    backups = [line.split()[1] for line in own.splitlines() if "backup" in line]
    assert servers == ["10.0.0.2:6443", "10.0.0.1:6443", "10.0.0.3:6443"]
    assert backups == ["10.0.0.1:6443", "10.0.0.3:6443"]
    assert "proxy_pass own_first;" in text(of_pool(COMPONENT, made, "control"), f"{FOLDER}/server.conf")
    assert "proxy_pass api_servers;" in text(of_pool(COMPONENT, made, "workers"), f"{FOLDER}/server.conf")


def test_nodes_listen_on_loopback_and_balancers_on_the_endpoint() -> None:
    made = cluster(**LB)
    assert text(of_pool(COMPONENT, made, "workers"), f"{FOLDER}/server.conf").startswith("listen 127.0.0.1:8443 ")
    balancer = text(of_pool(COMPONENT, made, "lb"), f"{FOLDER}/server.conf")
    assert balancer.startswith("listen 443 ")
    assert "127.0.0.1" not in balancer
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text(shared(COMPONENT, made), f"/etc/systemd/system/{UNIT}")
    assert "CAP_NET_BIND_SERVICE" not in text(shared(COMPONENT, cluster()), f"/etc/systemd/system/{UNIT}")


def test_module_and_packages_follow_the_os() -> None:
    made = cluster(**LB)

    def packages(items: dict[str, HostItem]) -> list[str]:
        return [item.name for item in items.values() if isinstance(item, HostPackage)]

    debian, redhat = of_pool(COMPONENT, made, "control"), of_pool(COMPONENT, made, "lb")
    assert packages(debian) == ["nginx", "libnginx-mod-stream"]
    assert packages(redhat) == ["nginx", "nginx-mod-stream"]
    assert text(debian, f"{FOLDER}/modules.conf") == "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
    assert text(redhat, f"{FOLDER}/modules.conf") == "load_module /usr/lib64/nginx/modules/ngx_stream_module.so;\n"


def test_configuration_reloads_and_the_unit_restarts() -> None:
    made = cluster()
    items = {**shared(COMPONENT, made), **of_pool(COMPONENT, made, "control"), **of_host(COMPONENT, made, "cp1")}
    for path in (CONFIG, f"{FOLDER}/server.conf", f"{FOLDER}/upstream-own.conf"):
        item = items[path]
        assert isinstance(item, HostFile)
        assert (item.reloads, item.restarts) == ((UNIT,), ())
    unit = items[f"/etc/systemd/system/{UNIT}"]
    assert isinstance(unit, HostFile)
    assert unit.restarts == (UNIT,)


def test_numbers_are_overridable_and_typos_are_named() -> None:
    made = cluster(more="components: {apiserver-balancer: {config: {max_fails: 5}}}")
    assert "max_fails=5" in text(shared(COMPONENT, made), CONFIG)
    wrong = cluster(more="components: {apiserver-balancer: {config: {max_fail: 5}}}")
    with pytest.raises(RenderError, match="did you mean max_fails"):
        shared(COMPONENT, wrong)
