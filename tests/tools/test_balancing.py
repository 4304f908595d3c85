"""The real programs judge every way into the API: nginx -t, haproxy -c, keepalived -t, and haproxy as it runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.components import apiserver_balancer, endpoint_balancer, endpoint_vip
from generator.components.items import HostFile
from generator.components.view import Component
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster
from tests.components.balancing import MODES, cluster_of, ipv6_cluster
from tests.components.clusters import all_of, cluster
from tests.components.sample import text_of
from tests.tools.test_node_tools import program, run
from tests.tools.test_units import root_with

pytestmark = pytest.mark.tools

HOSTS = ("cp2", "worker1", "lb1")
CASES = [(mode, host) for mode in MODES for host in HOSTS]


def written(component: Component, made: Cluster, host: str, folder: Path) -> Path | None:
    """Write a component's configuration as it is on a host, paths turned to a folder; None where it does not run."""
    pool = next((one.pool for one in made.hosts if one.name == host), None)
    if pool is None or not component.runs_on(made, pool):
        return None
    for path, item in all_of(component, made, host).items():
        name = Path(path).parent.name
        if isinstance(item, HostFile) and re.fullmatch(rf"/etc/{component.name}(-[0-9]+)?/[^/]+", path):
            text = text_of(item).replace("{{secret:vrrp/password}}", "abcd1234")
            for old in (f"/etc/{name}/", f"/run/{name}/"):
                text = text.replace(old, f"{folder}/")
            (folder / Path(path).name).write_text(text)
    return folder


def certified(folder: Path, *names: str) -> None:
    """Make a CA and a certificate of a server with these names, all by openssl."""
    openssl = program("openssl")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    made = run(openssl, "req", "-x509", *key, "-keyout", folder / "ca.key", "-out", folder / "plain.crt", "-subj",
               "/CN=kubernetes", "-days", "1")  # fmt: skip
    assert made.returncode == 0, made.stderr
    # As hosts have it: words above the certificate.
    (folder / "ca.crt").write_text(f"subject: CN=kubernetes\n{(folder / 'plain.crt').read_text()}")
    (folder / "names").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
    for words in (
        ("req", *key, "-keyout", folder / "server.key", "-out", folder / "server.csr", "-subj", "/CN=kube-apiserver"),
        ("x509", "-req", "-in", folder / "server.csr", "-CA", folder / "plain.crt", "-CAkey", folder / "ca.key",
         "-days", "1", "-CAcreateserial", "-out", folder / "server.crt", "-extfile", folder / "names"),
    ):  # fmt: skip
        made = run(openssl, *words)
        assert made.returncode == 0, made.stderr


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has at most 97 characters."""
    with tempfile.TemporaryDirectory(prefix="sw-") as folder:
        yield Path(folder)


@pytest.mark.parametrize(("mode", "host"), CASES)
def test_haproxy_reads_its_configuration(mode: str, host: str, short_path: Path) -> None:
    haproxy, tmp_path = program("haproxy"), short_path
    certified(tmp_path, "cp1")
    ca = (tmp_path / "ca.crt").read_text()
    made, judged = cluster_of(mode), 0
    for component in (apiserver_balancer.COMPONENT, endpoint_balancer.COMPONENT):
        folder = tmp_path / component.name
        folder.mkdir()
        if written(component, made, host, folder) is None or not (folder / "haproxy.cfg").exists():
            continue
        (folder / "ca.crt").write_text(ca)
        done = run(haproxy, "-c", "-f", folder)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stderr and "ALERT" not in done.stderr, done.stderr
        broken = folder / "haproxy.cfg"
        broken.write_text(broken.read_text().replace("balance leastconn", "balance by-chance"))
        assert run(haproxy, "-c", "-f", folder).returncode != 0
        judged += 1
    assert judged or host != "lb1" or "lb" not in made.pools


@pytest.mark.parametrize("mode", ["nginx", "nginx-on-the-api-port"])
@pytest.mark.parametrize("host", ["cp2", "worker1"])
def test_nginx_reads_its_configuration(mode: str, host: str, tmp_path: Path) -> None:
    nginx = program("nginx")
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        pytest.skip("libnginx-mod-stream is not installed")
    assert written(apiserver_balancer.COMPONENT, cluster_of(mode), host, tmp_path)
    done = run(nginx, "-t", "-e", "stderr", "-c", tmp_path / "nginx.conf")
    assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr


def in_namespace(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a network namespace of its own, with an interface that has the addresses of cp2 and lb2."""
    if os.geteuid() != 0 or run("unshare", "--net", "true").returncode != 0:
        pytest.skip("network namespaces need root")
    setup = """
    ip link set lo up; ip link add node0 type veth peer name node1; ip link set node0 up; ip link set node1 up
    for one in 10.0.0.2/24 10.0.3.1/24; do ip address add $one dev node0; done
    ip address add fd00::2/64 dev node0 nodad
    """
    words = ["unshare", "--net", "sh", "-c", f"cd {folder}\n{setup}\n{script}"]
    environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def keepalived_says(folder: Path) -> str:
    """Return what keepalived has to say of a configuration; it ends itself by a signal after a test, good or bad."""
    config = folder / "keepalived.conf"
    text = config.read_text().replace("eth1", "node0").replace("script_user endpoint-vip", "script_user nobody")
    text = text.replace("user endpoint-vip", "user nobody").replace(endpoint_vip.CHECK, "/bin/true")
    config.write_text(text)
    (folder / "interface.conf").write_text("$ENDPOINT_INTERFACE=node0\n")
    done = in_namespace(f"exec keepalived --config-test --vrrp --use-file {config}", folder)
    return "".join(line for line in done.stderr.splitlines(True) if line.strip() != "Terminated")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.startswith("vip")] + ["ipv6"])
def test_keepalived_reads_its_configuration(mode: str, tmp_path: Path) -> None:
    program("keepalived")
    made = ipv6_cluster() if mode == "ipv6" else cluster_of(mode)
    host = "cp2" if made.api.vip is not None and made.api.vip.role == "control-plane" else "lb1"
    assert written(endpoint_vip.COMPONENT, made, host, tmp_path)
    assert keepalived_says(tmp_path) == ""
    config = tmp_path / "keepalived.conf"
    config.write_text(config.read_text().replace("nopreempt", "nopreemption"))
    assert "nopreemption" in keepalived_says(tmp_path)


_TWO_HOSTS = """
set -eu
ip link add lb1 type veth peer name lb2
for one in lb1 lb2; do unshare --net sleep 180 & eval "$one=$!"; done
holds() { nsenter --target $1 --net ip -o address show dev node0 | grep -q 10.0.3.100/32; }
sleep 0.3
for one in lb1 lb2; do
    eval "ns=\\$$one"
    ip link set $one netns $ns
    touch $one.healthy
    inside="nsenter --target $ns --net"
    $inside ip link set $one name node0
    $inside ip address add 10.0.3.${one#lb}/24 dev node0
    $inside ip link set node0 up
    options="--vrrp --dont-fork --log-console --no-syslog --use-file $one/keepalived.conf"
    $inside keepalived $options --pid $one/pid --vrrp_pid $one/vrrp.pid >$one/log 2>&1 & eval "keepalived_$one=$!"
    # The other one starts when this one has it: nobody takes it back from whoever was quicker.
    [ $one = lb2 ] || for _ in $(seq 300); do ! holds $lb1 || break; sleep 0.1; done
done
trap 'kill $keepalived_lb1 $keepalived_lb2 $lb1 $lb2 2>/dev/null' EXIT
waits() { for _ in $(seq 300); do if holds $2 && ! holds $3; then echo $1; return; fi; sleep 0.1; done; exit 1; }
waits first $lb1 $lb2
rm lb1.healthy
waits second $lb2 $lb1
touch lb1.healthy
sleep 6
waits stays $lb2 $lb1
kill $keepalived_lb2
waits back $lb1 $lb2
"""


def test_the_address_moves_between_two_keepalived_when_a_check_fails_and_not_back(tmp_path: Path) -> None:
    program("keepalived")
    made = cluster_of("vip-on-load-balancers")
    for name in ("lb1", "lb2"):
        (tmp_path / name).mkdir()
        written(endpoint_vip.COMPONENT, made, name, tmp_path / name)
        config = tmp_path / name / "keepalived.conf"
        text = config.read_text().replace("user endpoint-vip", "user root")
        config.write_text(text.replace(endpoint_vip.CHECK, f"/usr/bin/test -e {tmp_path}/{name}.healthy"))
        (tmp_path / name / "interface.conf").write_text("$ENDPOINT_INTERFACE=node0\n")
    done = in_namespace(_TWO_HOSTS, tmp_path)
    logs = "".join((tmp_path / name / "log").read_text() for name in ("lb1", "lb2"))
    assert done.stdout.split() == ["first", "second", "stays", "back"], done.stdout + done.stderr + logs


_SOURCES = """
set -eu
# The hosts' network is wider than the spec has it.
ip address delete 10.0.0.2/24 dev node0
ip address add 10.0.0.2/16 dev node0
keepalived --vrrp --dont-fork --log-console --no-syslog --use-file keepalived.conf --pid pid --vrrp_pid vrrp >log 2>&1 &
trap "kill $!" EXIT
for _ in $(seq 100); do ip -o address show dev node0 | grep -q ADDRESS/ && break; sleep 0.1; done
ip -o address show dev node0 | grep -q ADDRESS/
for to in fd00::9 10.0.0.9; do ip route get $to | grep -o "src [^ ]*"; done
"""


@pytest.mark.parametrize("family", [4, 6])
def test_a_host_that_has_the_virtual_address_goes_on_calling_others_by_its_own(family: int, tmp_path: Path) -> None:
    """Else etcd would refuse a member, whose certificate names the address of its host."""
    program("keepalived")
    vip = "{address: 10.0.0.100/24, role: control-plane, virtualRouterId: 7, priorities: {cp1: 9, cp2: 8, cp3: 7}}"
    made = ipv6_cluster() if family == 6 else cluster(more=f"api: {{vip: {vip}}}")
    assert made.api.vip is not None
    written(endpoint_vip.COMPONENT, made, "cp2", tmp_path)
    assert keepalived_says(tmp_path) == ""
    config = tmp_path / "keepalived.conf"
    config.write_text(config.read_text().replace("user nobody", "user root"))
    done = in_namespace(_SOURCES.replace("ADDRESS", made.api.vip.address), tmp_path)
    logged = (tmp_path / "log").read_text()
    assert done.stdout.split() == ["src", "fd00::2", "src", "10.0.0.2"], done.stderr + logged


def test_the_interface_with_the_hosts_own_address_is_found(tmp_path: Path) -> None:
    program("ip")
    script = tmp_path / "endpoint-interface"
    text = text_of(all_of(endpoint_vip.COMPONENT, cluster_of("vip-on-control-plane"), "cp2")[endpoint_vip.INTERFACE])
    script.write_text(text.replace(endpoint_vip.INTERFACE_FILE, str(tmp_path / "interface.conf")))
    done = in_namespace(f"SLIPWAY_NODE_IP=10.0.0.2 sh {script}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "interface.conf").read_text() == "$ENDPOINT_INTERFACE=node0\n"
    done = in_namespace(f"SLIPWAY_NODE_IP=10.0.0.77 sh {script}", tmp_path)
    assert done.returncode == 1 and "no interface has 10.0.0.77" in done.stderr


def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    shellcheck = program("shellcheck")
    for name in ("endpoint-check.sh", "endpoint-interface.sh"):
        done = run(shellcheck, Path(endpoint_vip.__file__).with_name(name))
        assert done.returncode == 0, done.stdout


class ApiServer:
    """A TLS server on a port of its own that answers every request with a status and its name."""

    def __init__(self, folder: Path, name: str, status: int = 200) -> None:
        self.name, self.status = name, status
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), self.context.wrap_socket(connection, server_side=True) as tls:
            if tls.recv(4096):
                body = self.name.encode()
                tls.sendall(b"HTTP/1.0 %d x\r\nContent-Length: %d\r\n\r\n%s" % (self.status, len(body), body))

    def stop(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def asked(port: int) -> str:
    """Return the name of the API server that answers behind a balancer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return tls.makefile().read().rpartition("\n")[2]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def balancer(mode: str, servers: dict[str, ApiServer], folder: Path, running: list[subprocess.Popen[str]]) -> int:
    """Start the endpoint's haproxy before some servers and return its port."""
    haproxy = program("haproxy")
    ca = (folder / "ca.crt").read_text()
    written(endpoint_balancer.COMPONENT, cluster_of(mode), "lb1", folder)
    (folder / "ca.crt").write_text(ca)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    config = folder / "haproxy.cfg"
    text = config.read_text().replace("bind *:6443", f"bind 127.0.0.1:{port}").replace("inter 2s", "inter 300ms")
    for number, name in enumerate(("cp1", "cp2", "cp3"), 1):
        text = text.replace(f"10.0.0.{number}:6443", f"127.0.0.1:{servers[name].port}")
    config.write_text(text.replace("fastinter 1s downinter 2s", ""))
    words = [haproxy, "-W", "-f", str(config)]
    running.append(subprocess.Popen(words, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    for _ in range(100):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return port
        time.sleep(0.05)
    raise AssertionError("haproxy does not listen")


def healthy(folder: Path) -> bool:
    """Return what the check of keepalived finds."""
    view = all_of(endpoint_vip.COMPONENT, cluster_of("vip-on-load-balancers"), "lb1")
    script = folder / "check"
    script.write_text(text_of(view[endpoint_vip.CHECK]).replace("/run/endpoint-balancer", str(folder)))
    return run("sh", script).returncode == 0


def until(folder: Path, expected: bool) -> None:
    for _ in range(100):
        if healthy(folder) is expected:
            return
        time.sleep(0.1)
    raise AssertionError(f"the check does not become {expected}")


def test_haproxy_sends_nobody_to_a_server_of_another_name(tmp_path: Path, running: list[subprocess.Popen[str]]) -> None:
    program("curl")
    certified(tmp_path, "cp1", "cp3")
    servers = {name: ApiServer(tmp_path, name) for name in ("cp1", "cp2", "cp3")}
    port = balancer("hosts-in-front", servers, tmp_path, running)
    time.sleep(2)
    assert {asked(port) for _ in range(8)} == {"cp1", "cp3"}
    assert healthy(tmp_path)
    servers["cp1"].stop()
    assert {asked(port) for _ in range(8)} == {"cp3"}
    servers["cp3"].stop()
    until(tmp_path, False)
    servers["cp2"].stop()


def test_haproxy_asks_readyz_where_that_path_is_open(
    tmp_path: Path, running: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("curl")
    opened = dict(MODES["hosts-in-front"])
    opened["more"] = "api: {endpoint: {host: api.example.net}, anonymousPaths: [/readyz]}"
    monkeypatch.setitem(MODES, "opened", opened)
    certified(tmp_path, "cp1", "cp2", "cp3")
    servers = {name: ApiServer(tmp_path, name, 500 if name == "cp1" else 200) for name in ("cp1", "cp2", "cp3")}
    port = balancer("opened", servers, tmp_path, running)
    time.sleep(2)
    assert {asked(port) for _ in range(8)} == {"cp2", "cp3"}, "one that is not ready gets nobody, though it accepts"
    for server in servers.values():
        server.stop()


def exposure(*words: str) -> float:
    """Return how open systemd finds a unit: from 0 to 10."""
    done = run(program("systemd-analyze"), "security", "--no-pager", "--offline=true", *words)
    return float(done.stdout.strip().splitlines()[-1].split(":")[1].split()[0])


@pytest.mark.parametrize("mode", ["haproxy", "vip-on-control-plane", "vip-on-load-balancers"])
def test_systemd_accepts_the_units_and_finds_them_tighter_than_the_distributions(mode: str, tmp_path: Path) -> None:
    made = cluster_of(mode)
    host = "lb1" if "lb" in made.pools else "cp2"
    pool = next(one.pool for one in made.hosts if one.name == host)
    units = {}
    for component in (apiserver_balancer.COMPONENT, endpoint_balancer.COMPONENT, endpoint_vip.COMPONENT):
        if component.runs_on(made, pool):
            for path, item in all_of(component, made, host).items():
                if isinstance(item, HostFile) and path.startswith(f"{SYSTEMD_DIR}/"):
                    units[path.removeprefix(f"{SYSTEMD_DIR}/")] = text_of(item)
    root = root_with(units, tmp_path)
    names = [name for name in sorted(units) if "/" not in name]
    done = run(program("systemd-analyze"), "verify", "--man=no", f"--root={root}",
               *(f"{SYSTEMD_DIR}/{name}" for name in names))  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for name in names:
        theirs = "keepalived" if name == "endpoint-vip.service" else "nginx" if "nginx" in units[name] else "haproxy"
        if not Path(f"/lib/systemd/system/{theirs}.service").exists():
            pytest.skip(f"{theirs}.service of the distribution is not installed")
        ours = exposure(f"--root={root}", name)
        assert ours < 4 and ours < exposure(f"{theirs}.service") - 3, name
        print(f"{name} {ours} {theirs} {exposure(f'{theirs}.service')}")
