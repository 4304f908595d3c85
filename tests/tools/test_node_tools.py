"""The real programs judge what is rendered for nodes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generator.components import (
    apiserver_balancer,
    bridge,
    containerd,
    host_base,
    kube_proxy,
    kubelet,
    node_base,
)
from generator.components.items import HostFile
from generator.components.view import Component
from tests.components.clusters import all_of, bridged, cluster, of_host, shared, text

pytestmark = pytest.mark.tools

MINE: tuple[Component, ...] = (
    host_base.COMPONENT,
    node_base.COMPONENT,
    containerd.COMPONENT,
    apiserver_balancer.COMPONENT,
    bridge.COMPONENT,
    kubelet.COMPONENT,
    kube_proxy.COMPONENT,
)


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("host", ["cp2", "worker1"])
def test_nginx_reads_the_balancers_configuration(host: str, tmp_path: Path) -> None:
    nginx = program("nginx")
    made = cluster(pools="debian: {roles: [worker], os: debian-12}", hosts="worker9: {pool: debian, address: 10.0.1.9}")
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        pytest.skip("libnginx-mod-stream is not installed")
    for path, item in all_of(apiserver_balancer.COMPONENT, made, host).items():
        if isinstance(item, HostFile) and path.startswith("/etc/apiserver-balancer/"):
            content = str(item.content).replace("/etc/apiserver-balancer", str(tmp_path))
            (tmp_path / Path(path).name).write_text(content.replace("/run/apiserver-balancer", str(tmp_path)))
    done = run(nginx, "-t", "-e", "stderr", "-c", tmp_path / "nginx.conf")
    assert done.returncode == 0, done.stderr
    assert "[emerg]" not in done.stderr and "[warn]" not in done.stderr
    broken = tmp_path / "nginx.conf"
    broken.write_text(broken.read_text().replace("worker_connections", "worker_connection"))
    assert run(nginx, "-t", "-e", "stderr", "-c", broken).returncode != 0


class ApiServer:
    """Something that listens on a port of its own and answers each connection with its name."""

    def __init__(self, name: str) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, args=(name.encode(),), daemon=True).start()

    def _serve(self, name: bytes) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(name)

    def stop(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def answer(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return connection.makefile().read()


def test_the_balancer_asks_its_own_host_first_and_another_when_that_is_down(tmp_path: Path) -> None:
    nginx = program("nginx")
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        pytest.skip("libnginx-mod-stream is not installed")
    servers = {name: ApiServer(name) for name in ("cp1", "cp2", "cp3")}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    replacements = {
        "/etc/apiserver-balancer": str(tmp_path),
        "/run/apiserver-balancer": str(tmp_path),
        "127.0.0.1:8443": f"127.0.0.1:{port}",
        **{f"10.0.0.{name[2]}:6443": f"127.0.0.1:{server.port}" for name, server in servers.items()},
    }
    for path, item in all_of(apiserver_balancer.COMPONENT, cluster(), "cp2").items():
        if isinstance(item, HostFile) and path.startswith("/etc/apiserver-balancer/"):
            content = str(item.content)
            for old, new in replacements.items():
                content = content.replace(old, new)
            (tmp_path / Path(path).name).write_text(content)
    process = subprocess.Popen([nginx, "-e", "stderr", "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        assert {answer(port) for _ in range(6)} == {"cp2"}
        servers["cp2"].stop()
        assert {answer(port) for _ in range(6)} <= {"cp1", "cp3"}
    finally:
        process.terminate()
        process.wait(10)
        for name in ("cp1", "cp3"):
            servers[name].stop()


def test_containerd_reads_its_configuration(tmp_path: Path) -> None:
    binary = program("containerd")
    version = run(binary, "--version").stdout.split()[2].lstrip("v").split("~")[0]
    made = cluster("1.30.0", 'runtime: {sandboxImage: "r.example/pause:1"}')
    made = replace(made, versions=replace(made.versions, containerd=version))
    path = tmp_path / "config.toml"
    path.write_text(text(shared(containerd.COMPONENT, made), containerd.CONFIG))
    done = run(binary, "--config", path, "config", "dump")
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    dumped = tomllib.loads(done.stdout)
    if containerd.config_version(version) == 2:
        plugin = dumped["plugins"]["io.containerd.grpc.v1.cri"]
        assert plugin["sandbox_image"] == "r.example/pause:1"
        assert plugin["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is True
        assert plugin["registry"]["config_path"] == "/etc/containerd/certs.d"
        assert plugin["cni"]["bin_dir"] == "/opt/cni/bin"
        assert (plugin["stream_server_address"], plugin["stream_server_port"]) == ("127.0.0.1", "10010")


@pytest.mark.parametrize(("default", "runtime"), [("false", "runc"), ("true", "nvidia")])
def test_containerd_reads_the_runtime_of_nodes_with_gpus(default: str, runtime: str, tmp_path: Path) -> None:
    binary = program("containerd")
    version = run(binary, "--version").stdout.split()[2].lstrip("v").split("~")[0]
    pools = f"cards: {{roles: [worker], gpu: {{vendor: nvidia, defaultRuntime: {default}}}}}"
    made = cluster("1.30.0", pools=pools, hosts="g1: {pool: cards, address: 10.0.2.1}")
    made = replace(made, versions=replace(made.versions, containerd=version))
    path = tmp_path / "config.toml"
    path.write_text(text(shared(containerd.COMPONENT, made, "cards"), containerd.CONFIG))
    done = run(binary, "--config", path, "config", "dump")
    assert done.returncode == 0 and not done.stderr, done.stderr
    plugins = tomllib.loads(done.stdout)["plugins"]
    plugin = plugins.get("io.containerd.cri.v1.runtime") or plugins["io.containerd.grpc.v1.cri"]
    assert plugin["containerd"]["default_runtime_name"] == runtime
    assert set(plugin["containerd"]["runtimes"]) == {"nvidia", "runc"}
    options = plugin["containerd"]["runtimes"]["nvidia"]["options"]
    assert (options["BinaryName"], options["SystemdCgroup"]) == ("/usr/bin/nvidia-container-runtime", True)


@pytest.mark.parametrize("component", MINE, ids=lambda component: component.name)
def test_systemd_finds_nothing_wrong_with_units(component: Component, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    made = bridged()
    units = [
        (Path(path).name, item.content)
        for path, item in all_of(component, made, "cp1").items()
        if isinstance(item, HostFile) and Path(path).parent == Path("/etc/systemd/system")
    ]
    for name, content in units:
        # The programs come later, and the tool asks for each.
        lines = str(content).replace("/usr/local/bin/", "/bin/true #/")
        (tmp_path / name).write_text("\n".join(_without_arguments(lines)) + "\n")
    if not units:  # host-base and node-base bring files only
        assert component.name in {"host-base", "node-base"}
        return
    done = run(analyze, "verify", "--man=no", *(tmp_path / name for name, _ in units))
    mine = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "apiserver" in line]
    assert not mine, done.stderr


def _without_arguments(unit: str) -> Iterator[str]:
    skipping = False
    for line in unit.splitlines():
        if not skipping:
            yield line.split(" #/")[0] if "/bin/true #/" in line else line
        skipping = line.endswith("\\")


def test_sysctl_files_name_settings_of_this_kernel() -> None:
    lines = text(shared(node_base.COMPONENT, cluster()), node_base.SYSCTL).splitlines()
    keys = [line.split(" = ")[0] for line in lines if " = " in line]
    missing = {key for key in keys if not Path("/proc/sys", *key.split(".")).exists()}
    # These exist once br_netfilter is loaded, and in the first network namespace.
    assert all(key.startswith("net.") for key in missing), missing


def test_cni_reads_the_network_list() -> None:
    written = json.loads(text(of_host(bridge.COMPONENT, bridged(), "cp1"), bridge.CONFLIST))
    assert {"cniVersion", "name", "plugins"} == set(written)


class Namespace:
    """A network namespace of its own with one interface in the nodes' network, and the routes script in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "bridge-routes"
        self.routes = folder / "routes"
        content = text(shared(bridge.COMPONENT, bridged()), bridge.SCRIPT)
        self.script.write_text(content.replace("/etc/bridge/routes", str(self.routes)))

    def run(self, commands: str) -> subprocess.CompletedProcess[str]:
        setup = """
        set -e
        ip link set lo up
        ip link add node0 type veth peer name node1
        ip link set node0 up; ip link set node1 up
        ip address add 10.0.0.1/24 dev node0
        """
        facts = {
            "SLIPWAY_NODE_IP": "10.0.0.1",
            "SLIPWAY_POD_CIDRS": "10.244.0.0/16",
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        }
        words = ["unshare", "--net", "--mount", "sh", "-c", setup + commands]
        return subprocess.run(words, env=facts, capture_output=True, text=True, check=False)


@pytest.fixture
def namespace(tmp_path: Path) -> Namespace:
    program("ip")
    program("iptables")
    if os.geteuid() != 0 or run("unshare", "--net", "true").returncode != 0:
        pytest.skip("network namespaces need root")
    return Namespace(tmp_path)


def test_routes_follow_the_list_and_skip_the_hosts_own(namespace: Namespace) -> None:
    namespace.routes.write_text("10.244.1.0/24 via 10.0.0.1\n10.244.2.0/24 via 10.0.0.2\n10.244.3.0/24 via 10.0.0.3\n")
    done = namespace.run(
        f"""
        ip route add 10.99.0.0/16 via 10.0.0.9
        sh {namespace.script} install
        ip route show proto 83; echo --
        printf '10.244.2.0/24 via 10.0.0.4\\n10.244.1.0/24 via 10.0.0.1\\n' > {namespace.routes}
        sh {namespace.script} install; sh {namespace.script} install
        ip route show proto 83; echo --
        iptables -w -t nat -S; echo --
        sh {namespace.script} remove
        ip route show; iptables -w -t nat -S
        """
    )
    assert done.returncode == 0, done.stderr
    first, second, rules, removed = done.stdout.split("--\n")
    assert [line.split(" dev")[0] for line in first.splitlines()] == [
        "10.244.2.0/24 via 10.0.0.2",
        "10.244.3.0/24 via 10.0.0.3",
    ]
    assert [line.split(" dev")[0] for line in second.splitlines()] == ["10.244.2.0/24 via 10.0.0.4"]
    assert rules.count("-A POSTROUTING -j SLIPWAY-BRIDGE") == 1
    assert [line for line in rules.splitlines() if line.startswith("-A SLIPWAY-BRIDGE")] == [
        "-A SLIPWAY-BRIDGE ! -s 10.244.0.0/16 -j RETURN",
        "-A SLIPWAY-BRIDGE -d 10.244.0.0/16 -j RETURN",
        "-A SLIPWAY-BRIDGE -d 224.0.0.0/4 -j RETURN",
        "-A SLIPWAY-BRIDGE -j MASQUERADE",
    ]
    assert "10.99.0.0/16 via 10.0.0.9" in removed
    assert "10.244" not in removed and "SLIPWAY" not in removed


def test_a_node_out_of_reach_is_named_and_the_others_get_their_routes(namespace: Namespace) -> None:
    namespace.routes.write_text("10.244.2.0/24 via 192.168.7.7\n10.244.3.0/24 via 10.0.0.3\n")
    done = namespace.run(f"sh {namespace.script} install && echo unexpected; ip route show proto 83")
    assert "no route to 10.244.2.0/24 via 192.168.7.7" in done.stderr
    assert "unexpected" not in done.stdout
    assert "10.244.3.0/24 via 10.0.0.3" in done.stdout


def test_shellcheck_finds_nothing_in_the_routes_script() -> None:
    # The functions are called by the name that is given, which it cannot follow: that is a note, below a warning.
    script = Path(bridge.__file__).with_name("bridge-routes.sh")
    done = run(program("shellcheck"), "--severity=warning", script)
    assert done.returncode == 0, done.stdout
