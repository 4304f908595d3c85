from __future__ import annotations

import pytest

from generator.components.apiserver_balancer import COMPONENT
from generator.components.items import HostFile, HostItem, HostPackage
from generator.errors import RenderError
from tests.components.balancing import cluster_of
from tests.components.clusters import all_of, cluster, of_host, of_pool, shared, text

FOLDER = "/etc/apiserver-balancer"
CONFIG, HAPROXY_CONFIG = f"{FOLDER}/nginx.conf", f"{FOLDER}/haproxy.cfg"
UNIT = "apiserver-balancer.service"
RED_HAT = {
    "pools": "red: {roles: [worker], os: rocky-9, arch: amd64}",
    "hosts": "red1: {pool: red, address: 10.0.3.1}",
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


def test_nodes_listen_on_loopback() -> None:
    made = cluster()
    assert text(of_pool(COMPONENT, made, "workers"), f"{FOLDER}/server.conf").startswith("listen 127.0.0.1:8443 ")
    assert "CAP_NET_BIND_SERVICE" not in text(shared(COMPONENT, made), f"/etc/systemd/system/{UNIT}")
    low = cluster(more="api: {balancerPort: 443}")
    unit = "/etc/systemd/system/apiserver-balancer-443.service"
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text(shared(COMPONENT, low), unit)


@pytest.mark.parametrize("balancer", ["nginx", "haproxy"])
def test_another_port_is_another_unit_that_shares_nothing_with_the_old_one_but_the_user(balancer: str) -> None:
    here, there = (
        set(all_of(COMPONENT, cluster(more=f"api: {{balancer: {balancer}, balancerPort: {port}}}"), "cp1"))
        for port in (8443, 9443)
    )
    shared_keys = here & there
    assert "unit:apiserver-balancer-9443.service" in there and f"unit:{UNIT}" in here
    assert {key for key in shared_keys if not key.startswith("package:")} == {
        "user:apiserver-balancer",
        "/etc/sysusers.d/slipway-apiserver-balancer.conf",
    }
    unit = text(
        shared(COMPONENT, cluster(more="api: {balancerPort: 9443}")),
        "/etc/systemd/system/apiserver-balancer-9443.service",
    )
    assert "User=apiserver-balancer\n" in unit and "RuntimeDirectory=apiserver-balancer-9443\n" in unit


def test_module_and_packages_follow_the_os() -> None:
    made = cluster(**RED_HAT)

    def packages(items: dict[str, HostItem]) -> list[str]:
        return [item.name for item in items.values() if isinstance(item, HostPackage)]

    debian, redhat = of_pool(COMPONENT, made, "control"), of_pool(COMPONENT, made, "red")
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
    text_in_number = cluster(more="components: {apiserver-balancer: {config: {proxy_timeout: '1h; include /x'}}}")
    with pytest.raises(RenderError, match="neither a number nor a time"):
        shared(COMPONENT, text_in_number)


def test_haproxy_has_the_same_unit_name_and_files_of_its_own() -> None:
    made = cluster_of("haproxy")
    items = all_of(COMPONENT, made, "cp2")
    assert {path for path in items if path.startswith(f"{FOLDER}/")} == {
        f"{FOLDER}/{name}" for name in ("haproxy.cfg", "listen.cfg", "own.cfg", "ca.crt")
    }
    assert f"unit:{UNIT}" in items and "package:haproxy" in items
    own = text(items, f"{FOLDER}/own.cfg")
    servers = [line.split()[1] for line in own.splitlines() if line.strip().startswith("server ")]
    assert servers == ["cp2", "cp1", "cp3"] and own.count(" backup\n") == 2 and "option allbackups" in own
    assert "own.cfg" not in " ".join(all_of(COMPONENT, made, "worker1"))
    assert "httpchk" not in text(items, HAPROXY_CONFIG)
    assert "option httpchk GET /readyz" in text(shared(COMPONENT, cluster_of("haproxy-readyz")), HAPROXY_CONFIG)


def test_explain_names_the_check_and_why() -> None:
    notes = {mode: COMPONENT.notes(cluster_of(mode))[0] for mode in ("nginx", "haproxy", "haproxy-readyz", "endpoint")}
    assert "passive" in notes["nginx"] and "runs on no host" in notes["endpoint"]
    assert "TLS handshake" in notes["haproxy"] and "put /readyz into api.anonymousPaths" in notes["haproxy"]
    assert "GET of /readyz" in notes["haproxy-readyz"]
    assert "1.31 cannot open single paths" in COMPONENT.notes(cluster_of("haproxy", "1.31.0"))[0]


def test_with_the_port_of_the_api_servers_it_comes_with_the_kubelet() -> None:
    apart = {item.phase for item in all_of(COMPONENT, cluster_of("nginx"), "cp1").values()}
    shared_port = {item.phase for item in all_of(COMPONENT, cluster_of("nginx-on-the-api-port"), "cp1").values()}
    assert apart == {"host-base", "load-balancer"} and shared_port == {"host-base", "nodes"}


def test_none_runs_nowhere() -> None:
    made = cluster_of("endpoint")
    assert not any(COMPONENT.runs_on(made, pool) for pool in made.pools.values())
    assert made.node_api_url == "https://api.example.net:443"
