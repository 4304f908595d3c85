"""nft reads the rule sets, and the kernel keeps to them: real packets between two network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generator.components import firewall
from generator.components.items import HostFile
from generator.spec.model import Cluster
from generator.spec.sections import Firewall
from tests.components.clusters import bridged, cluster, of_host, of_pool, shared

pytestmark = pytest.mark.tools

POOLS = "members: {roles: [etcd]}"
HOSTS = "e[1:2]: {pool: members, address: '10.0.3.[1:2]'}\nodd: {pool: workers, address: 10.0.1.9, ssh: {port: 2222}}"
MANAGED = """
firewall: {mode: managed, operators: [10.1.0.0/24, "fd00:1::/64", 10.1.0.128/25], nodeProtocols: [ipip]}
listeners:
  - {port: 9100, from: [10.2.0.0/16, 10.3.0.1/32], purpose: node exporter (metrics)}
  - {port: 53, protocol: udp, from: [pods, nodes]}
"""
SYSTEMCTL = '#!/bin/sh\necho "$*" >>"$0.log"\n'


@dataclass
class Machine:
    """The files of one host below a folder, and a systemctl that only notes what it was told."""

    folder: Path

    def put(self, made: Cluster, host: str) -> None:
        """Write what the component puts on a host, with its paths moved into the folder."""
        for old in (self.folder / "etc").glob("firewall*"):
            old.unlink()
        pool = next(one for one in made.hosts if one.name == host).pool.name
        for items in (shared(firewall.COMPONENT, made), of_pool(firewall.COMPONENT, made, pool),
                      of_host(firewall.COMPONENT, made, host)):  # fmt: skip
            for path, item in items.items():
                if isinstance(item, HostFile) and (path.endswith(".nft") or path == firewall.SCRIPT):
                    (self.folder / "etc" / Path(path).name).write_text(self.moved(str(item.content)))

    def moved(self, text: str) -> str:
        for old, new in (("/etc/slipway", "etc"), ("/var/lib/slipway", "state"), ("/run/slipway-firewall", "run")):
            text = text.replace(old, str(self.folder / new))
        return text

    def run(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Run commands in a network namespace of their own; `verb` runs the program of the host."""
        verb = f'verb() {{ sh {self.folder}/etc/firewall "$1"; }}\n'
        path = f"{self.folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
        words = ["unshare", "--net", "sh", "-ec", verb + commands]
        return subprocess.run(words, env={"PATH": path}, capture_output=True, text=True, timeout=60)

    def told(self) -> list[str]:
        """Return what systemctl was told to do, without what it was asked."""
        log = self.folder / "bin/systemctl.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("is-")]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("nft is not installed")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        pytest.skip("network namespaces need root")
    for name in ("etc", "state", "run", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin/systemctl").chmod(0o755)
    yield Machine(tmp_path)


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
@pytest.mark.parametrize("host", ["cp1", "worker1", "e1", "odd"])
def test_nft_reads_every_rule_set(machine: Machine, host: str, mode: str) -> None:
    made = cluster(more=MANAGED, network=f"proxyMode: {mode}", pools=POOLS, hosts=HOSTS)
    machine.put(made, host)
    done = machine.run(f"nft -c -f {machine.folder}/etc/firewall.nft")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rules = machine.folder / "etc/firewall-ports.nft"
    rules.write_text(rules.read_text().replace("dport", "dprot"))
    assert machine.run(f"nft -c -f {machine.folder}/etc/firewall.nft").returncode != 0


def test_nft_reads_both_families(machine: Machine) -> None:
    made = replace(bridged(), firewall=Firewall("managed", ("10.1.0.0/24", "fd00:1::/64"), ("gre",)))
    machine.put(made, "cp1")
    done = machine.run("verb load; nft list table inet slipway")
    assert done.returncode == 0, done.stderr
    for line in ("set etcd6", "fd00::1", "ip6 saddr @control_plane6", "meta l4proto gre"):
        assert line in done.stdout


def test_only_our_table_is_touched_and_a_change_is_one_step(machine: Machine) -> None:
    machine.put(cluster(more=MANAGED), "worker1")
    done = machine.run(
        """
        nft add table ip kube-proxy; nft add chain ip kube-proxy mine
        verb load; verb load; nft list tables; echo --
        nft list chain inet slipway input | grep -c 'tcp dport 10250'; echo --
        verb remove; nft list tables; verb remove
        """
    )
    assert done.returncode == 0, done.stderr
    loaded, once, removed = done.stdout.split("--\n")
    assert loaded.splitlines() == ["table ip kube-proxy", "table inet slipway"]
    # Control plane, nodes and pods may call it, each once.
    assert once == "3\n" and removed == "table ip kube-proxy\n"


def test_rules_that_nobody_confirms_give_way_to_those_before(machine: Machine) -> None:
    machine.put(cluster(more=MANAGED), "worker1")
    timer = firewall.RESTORE_TIMER
    # Without any confirmed before, the host is left without rules of ours.
    done = machine.run("verb load; verb remove; verb restore; nft list tables")
    assert done.returncode == 0 and done.stdout == "" and "has no rules of ours now" in done.stderr
    assert machine.told() == [f"--no-block restart {timer}"]
    # Confirmed rules load without a timer from then on, as at the next boot.
    done = machine.run("verb load; verb confirm; verb load; verb confirm")
    assert done.returncode == 0, done.stderr
    first = [f"--no-block restart {timer}", f"stop {timer}"]
    assert machine.told() == [*first, f"--no-block stop {timer}", f"stop {timer}"]
    # New ones that nobody confirms are taken back to them.
    other = MANAGED.replace("9100", "9200")
    machine.put(cluster(more=other), "worker1")
    show = "nft list table inet slipway"
    done = machine.run(f"verb load; {show}; echo --; verb remove; verb restore; {show}")
    assert done.returncode == 0, done.stderr
    new, back = done.stdout.split("--\n")
    assert "dport 9200" in new and "dport 9100" not in new
    assert "dport 9100" in back and "dport 9200" not in back and "policy drop" in back
    assert machine.told() == [f"--no-block restart {timer}"]


def test_rules_are_proved_again_when_the_firewall_has_been_out_of_the_spec(machine: Machine) -> None:
    machine.put(cluster(more=MANAGED), "worker1")
    assert machine.run("verb load; verb confirm; verb remove; verb load").returncode == 0
    assert machine.told()[-1].endswith("stop slipway-firewall-restore.timer")
    systemctl = machine.folder / "bin/systemctl"
    systemctl.write_text(SYSTEMCTL + "[ $1 != is-enabled ] || echo disabled\n")
    assert machine.run("verb load; verb confirm; verb remove; verb load").returncode == 0
    assert machine.told()[-1].endswith("restart slipway-firewall-restore.timer")


def test_what_is_not_loaded_is_not_confirmed(machine: Machine) -> None:
    machine.put(cluster(more=MANAGED), "worker1")
    done = machine.run("verb confirm")
    assert done.returncode != 0 and "what is loaded is not what lies in" in done.stderr
    done = machine.run(f"verb load; echo '# later' >>{machine.folder}/etc/firewall-ports.nft; verb confirm")
    assert done.returncode != 0 and "what is loaded is not what lies in" in done.stderr
    assert not (machine.folder / "state/firewall/confirmed").exists()


ASK = """
import socket, sys
own, other, *ports = sys.argv[1:]
for port in ports:
    try:
        socket.create_connection((other, int(port)), 1, (own, 0)).close()
        print(port, "open")
    except TimeoutError:
        print(port, "closed")
"""


def test_packets_get_in_as_the_rules_say(machine: Machine) -> None:
    machine.put(cluster(more=MANAGED), "worker1")
    (machine.folder / "ask.py").write_text(ASK)
    (machine.folder / "serve.py").write_text(
        "import socket, sys, time\nopen_ = [socket.create_server(('', int(p))) for p in sys.argv[1:]]\n"
        "print('up', flush=True)\ntime.sleep(30)\n"
    )
    done = machine.run(
        f"""
        unshare --net sleep 30 >/dev/null & caller=$!
        sleep 0.3
        ip link set lo up
        ip link add host0 type veth peer name far0 netns $caller
        ip address add 10.0.1.1/8 dev host0; ip link set host0 up
        far="nsenter --net=/proc/$caller/ns/net"
        for own in 10.0.0.1 10.0.1.2 10.1.0.5 10.2.3.4 10.77.0.1; do $far ip address add $own/8 dev far0; done
        $far ip link set far0 up
        mkfifo {machine.folder}/up
        python3 {machine.folder}/serve.py 22 3306 9100 10250 30080 >{machine.folder}/up & server=$!
        read -r _ <{machine.folder}/up
        verb load
        for own in 10.0.0.1 10.0.1.2 10.1.0.5 10.2.3.4 10.77.0.1; do
            echo "$own: "$($far python3 {machine.folder}/ask.py $own 10.0.1.1 22 3306 9100 10250 30080)
        done
        python3 {machine.folder}/ask.py 10.0.1.1 10.0.1.1 3306
        kill $server $caller
        """
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    opened = {line.split(":")[0]: [word for word, state in zip(line.split()[1::2], line.split()[2::2], strict=True)
              if state == "open"] for line in lines[:-1]}  # fmt: skip
    assert opened == {
        "10.0.0.1": ["10250", "30080"],
        # metrics-server asks kubelets, with the address of whichever node its pod runs on.
        "10.0.1.2": ["10250", "30080"],
        "10.1.0.5": ["22", "30080"],
        "10.2.3.4": ["9100", "30080"],
        "10.77.0.1": ["30080"],
    }
    assert lines[-1] == "3306 open"


VIP = """
firewall: {mode: managed, operators: [10.1.0.0/24]}
api: {vip: {address: 10.0.0.100, role: ROLE, virtualRouterId: 7, priorities: {ONE: 9, TWO: 8}, port: 9443}}
"""
BESIDE = {
    "control-plane": (VIP.replace("ROLE", "control-plane").replace("ONE: 9, TWO: 8", "cp1: 3, cp2: 2, cp3: 1"), "cp1"),
    "load-balancer": (VIP.replace("ROLE", "load-balancer").replace("ONE", "lb1").replace("TWO", "lb2"), "lb1"),
}


@pytest.mark.parametrize("role", BESIDE)
def test_a_way_into_the_api_that_left_the_spec_is_open_until_its_file_goes(machine: Machine, role: str) -> None:
    more, host = BESIDE[role]
    front = {"pools": "front: {roles: [load-balancer]}", "hosts": "lb[1:2]: {pool: front, address: '10.0.2.[1:2]'}"}
    machine.put(cluster(more=more, **(front if role == "load-balancer" else {})), host)
    peers = "10.0.2.1" if role == "load-balancer" else "10.0.0.1"
    assert machine.run("verb load; nft list table inet slipway").returncode == 0
    # What was on the host before lies there until the end of the run, also where the host has another role now.
    machine.put(cluster(more=VIP.splitlines()[1]), "cp1")
    ask = "verb load; nft list chain inet slipway input"
    during = machine.run(ask).stdout
    assert "tcp dport 9443 accept" in during and f"l4proto 112 ip saddr {{ {peers}" in during.replace("vrrp", "112")
    for left in (machine.folder / "etc").glob("way-in-endpoint-*"):
        left.unlink()
    after = machine.run(ask).stdout
    assert "9443" not in after and "endpoint-vip" not in after and "tcp dport 6443 accept" in after


HEAR = """
import socket, sys
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("", 68))
heard.settimeout(10)
print("up", flush=True)
print(heard.recvfrom(99)[0].decode())
"""
SAY = """
import socket, sys
for word, port in (("stranger", 1067), ("server", 67)):
    said = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    said.bind(("10.77.0.1", port))
    said.sendto(word.encode(), ("10.0.1.1", 68))
"""


def test_a_lease_can_be_renewed_where_its_server_answers_a_broadcast(machine: Machine) -> None:
    machine.put(cluster(more=MANAGED), "worker1")
    for name, text in (("hear.py", HEAR), ("say.py", SAY)):
        (machine.folder / name).write_text(text)
    done = machine.run(
        f"""
        unshare --net sleep 30 >/dev/null & caller=$!
        sleep 0.3
        ip link add host0 type veth peer name far0 netns $caller
        ip address add 10.0.1.1/8 dev host0; ip link set host0 up
        far="nsenter --net=/proc/$caller/ns/net"
        $far ip address add 10.77.0.1/8 dev far0; $far ip link set far0 up
        verb load
        mkfifo {machine.folder}/up
        python3 {machine.folder}/hear.py >{machine.folder}/up & hears=$!
        {{ read -r _; $far python3 {machine.folder}/say.py; cat; }} <{machine.folder}/up
        wait $hears; kill $caller
        """
    )
    assert done.returncode == 0 and done.stdout == "server\n", done.stderr


OFF_SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$0.log"
case $* in
'is-enabled nftables.service') cat "${0%/*}/enabled" ;;
'is-active nftables.service') echo active ;;
show*) echo '{ path=/usr/sbin/nft ; argv[]=/usr/sbin/nft -f FOLDER/etc/nftables.conf ; ignore_errors=no ; }' ;;
*disable*) grep . FOLDER/run/nftables.service.d/slipway.conf >>"$0.log"; echo disabled >"${0%/*}/enabled" ;;
*is-active*) exit 3 ;;
esac
"""
SAVED = """flush ruleset
include "FOLDER/etc/more*.nft"
table inet filter { chain input { type filter hook input priority 0; policy drop; tcp dport 22 accept; }; }
table ip kube-proxy {
    chain mine {
    }
}
table filter {
    chain INPUT {
        type filter hook input priority 0;
    }
}
table ip nat {
    chain POSTROUTING {
        type nat hook postrouting priority 100;
    }
}
"""


def test_nftables_service_stops_without_taking_the_tables_of_others_away(machine: Machine) -> None:
    folder = machine.folder
    script = Path(firewall.__file__).with_name("firewall-off.sh").read_text()
    (folder / "off").write_text(script.replace("/run/systemd/system", str(folder / "run")))
    (folder / "bin/systemctl").write_text(OFF_SYSTEMCTL.replace("FOLDER", str(folder)))
    (folder / "bin/enabled").write_text("enabled\n")
    (folder / "etc/nftables.conf").write_text(SAVED.replace("FOLDER", str(folder)))
    (folder / "etc/more-1.nft").write_text("add table ip6 extra {\n    chain one {\n    }\n}\n")
    done = machine.run(
        f"""
        nft -f {folder}/etc/nftables.conf
        nft add table ip other; nft add chain ip other theirs
        nft add chain ip nat KUBE-SERVICES
        sh {folder}/off; nft list tables
        """
    )
    assert done.returncode == 0, done.stderr
    left = {line for line in done.stdout.splitlines() if line.startswith("table ")}
    assert left == {"table ip kube-proxy", "table ip nat", "table ip other"}, done.stdout
    assert "ip nat of nftables.service is left until the next boot: others write into it (KUBE-SERVICES)" in done.stdout
    told = machine.told()
    at = told.index("--quiet disable --now nftables.service")
    assert told[at - 1] == "daemon-reload" and told[at + 1 : at + 3] == ["[Service]", "ExecStop="]
    assert "daemon-reload" in told[at:] and not list((folder / "run").iterdir())


@pytest.mark.parametrize("name", ["firewall.sh", "firewall-off.sh", "data-disk.sh"])
def test_shellcheck_finds_nothing(name: str) -> None:
    judge = shutil.which("shellcheck")
    if judge is None:
        pytest.skip("shellcheck is not installed")
    script = Path(firewall.__file__).with_name(name)
    done = subprocess.run([judge, "--severity=warning", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
