"""The cluster that the lab tests share: lab hosts, a workspace outside the repository, Slipway's verbs on it."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.serving import cases as serving

REPOSITORY = Path(__file__).parents[2]
Completed = subprocess.CompletedProcess[str]


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, asking once a second; fails with the condition's name when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {condition}"
        time.sleep(1)


class LabCluster:
    """A cluster in the lab. `addresses` maps host names to addresses; `run_on` and `run_in_lab` come from the lab."""

    def __init__(
        self,
        *,
        workspace: Path,
        name: str,
        addresses: Mapping[str, str],
        artifacts: Path,
        kubectl: Path,
        run_on: Callable[[str, str], Completed],
        run_in_lab: Callable[[Sequence[str], Mapping[str, str]], Completed],
        stop: Callable[[str], None],
        start: Callable[[str], None],
        kernel_settings_before: str,
        control: Sequence[str] = (),
        workers: Sequence[str] = (),
    ) -> None:
        self.workspace = workspace
        self.name = name
        self.addresses = addresses
        self.artifacts = artifacts
        self._kubectl = kubectl
        self._run_on = run_on
        self._run_in_lab = run_in_lab
        self.lab_stop = stop
        self.lab_start = start
        self.kernel_settings_before = kernel_settings_before
        self.control = tuple(control)
        self.workers = tuple(workers)
        self.first_apply: Completed
        self._kubeconfig = workspace.parent / "admin.kubeconfig"

    @property
    def inputs(self) -> Path:
        return self.workspace / "clusters" / self.name

    @property
    def rendered(self) -> Path:
        return self.workspace / "rendered" / self.name

    # What runs where

    def try_sh(self, host: str, script: str) -> Completed:
        return self._run_on(host, script)

    def sh(self, host: str, script: str) -> str:
        done = self._run_on(host, script)
        assert done.returncode == 0, f"{host}: {script}: {done.stderr}"
        return done.stdout

    def invoke(self, *words: str, environment: Mapping[str, str] | None = None) -> Completed:
        invoke = Path(sys.executable).with_name("invoke")
        cluster = [] if "--cluster" in words else ["--cluster", self.name]
        return self._run_in_lab(
            [str(invoke), "--search-root", str(REPOSITORY), *words, *cluster],
            {"SLIPWAY_ROOT": str(self.workspace), **(environment or {})},
        )

    def admin_kubeconfig(self) -> Path:
        """An administrator's kubeconfig, signed when it is first needed."""
        if not self._kubeconfig.exists():
            made = self.invoke("kubeconfig", "--hours", "4", "--out", str(self._kubeconfig))
            assert made.returncode == 0, made.stderr
        return self._kubeconfig

    def forget_kubeconfig(self) -> None:
        """Drop the administrator's kubeconfig: the cluster is another one, or its endpoint may be gone."""
        self._kubeconfig.unlink(missing_ok=True)

    def in_lab(self, words: Sequence[str], environment: Mapping[str, str]) -> Completed:
        """Run a program of this machine inside the lab's network."""
        return self._run_in_lab(words, environment)

    def try_kubectl(self, *words: str, stdin: str | None = None) -> Completed:
        command = [str(self._kubectl), f"--kubeconfig={self.admin_kubeconfig()}", *words]
        if stdin is not None:
            manifest = self.workspace.parent / "stdin.yaml"
            manifest.write_text(stdin)
            command += ["-f", str(manifest)]
        return self._run_in_lab(command, {})

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        done = self.try_kubectl(*words, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def kubectl_json(self, *words: str) -> Any:
        return json.loads(self.kubectl(*words, "-o", "json"))

    def kubectl_after(self, kind: str, name: str, seconds: float = 15) -> str:
        """The resourceVersion of an object in kube-system once it has changed, which a live leader's lease does."""
        first = self.kubectl_json("get", kind, "-n", "kube-system", name)["metadata"]["resourceVersion"]
        until(
            lambda: self.kubectl_json("get", kind, "-n", "kube-system", name)["metadata"]["resourceVersion"] != first,
            seconds,
        )
        return str(self.kubectl_json("get", kind, "-n", "kube-system", name)["metadata"]["resourceVersion"])

    # The workspace

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=lab", "-c", "user.email=lab@localhost", *words],
            cwd=self.workspace, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def changed(self, folder: str) -> list[str]:
        """The files of the cluster below a top folder that differ from the last commit."""
        prefix = f"{folder}/{self.name}/"
        self.git("add", "-A", "-N")
        names = self.git("diff", "--name-only", "HEAD", "--", folder).splitlines()
        return [name.removeprefix(prefix) for name in names]

    def changed_lines(self, folder: str, outside: str) -> list[tuple[int, int]]:
        self.git("add", "-A", "-N")
        rows = [line.split("\t") for line in self.git("diff", "--numstat", "HEAD", "--", folder).splitlines()]
        return [(int(added), int(removed)) for added, removed, path in rows if outside not in path]

    def edit_spec(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.inputs / "cluster.yaml"
        spec = yaml.safe_load(path.read_text())
        change(spec)
        path.write_text(yaml.safe_dump(spec, sort_keys=False))

    def shuffle_hosts(self) -> None:
        def shuffled(spec: dict[str, Any]) -> None:
            hosts = list(spec["hosts"].items())
            random.Random(7).shuffle(hosts)
            spec["hosts"] = dict(hosts)

        self.edit_spec(shuffled)

    def add_worker(self, name: str) -> None:
        number = int(self.addresses[name].rsplit(".", 1)[1])
        self.edit_spec(
            lambda spec: spec["hosts"].update(
                {name: {"pool": "workers", "address": self.addresses[name], "podSubnet": f"10.84.{number}.0/24"}}
            )
        )

    def accept_host_key(self, host: str) -> None:
        done = self.invoke("hosts.scan", "--limit", host, "--yes")
        assert done.returncode == 0, done.stderr

    # What the tests look at

    def planned_restarts(self, plan_json: str) -> set[tuple[str, str]]:
        plan = json.loads(plan_json)
        return {
            (host, action["unit"])
            for host, entry in plan["hosts"].items()
            for work in entry["phases"].values()
            for action in work["units"]
            if action["action"] == "restart"
        }

    def unit_starts(self, hosts: Sequence[str]) -> dict[tuple[str, str], str]:
        """When each unit of ours last became active, by host and unit: differs after any restart."""
        starts: dict[tuple[str, str], str] = {}
        for host in hosts:
            script = (
                "for unit in etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy"
                " apiserver-balancer bridge-routes; do"
                " echo $unit.service"
                " $(systemctl show -P ExecMainStartTimestampMonotonic -p MainPID $unit.service); done"
            )
            for line in self.sh(host, script).splitlines():
                unit, _, start = line.partition(" ")
                starts[host, unit] = start
        return starts

    def all_ready(self, names: Sequence[str] = ()) -> bool:
        """Whether just these are the cluster's nodes and all are Ready; without names, whether all nodes are."""
        try:
            nodes = self.kubectl_json("get", "nodes")["items"]
        except AssertionError:
            return False
        ready = {
            node["metadata"]["name"]
            for node in nodes
            if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
        }
        return bool(ready) and ready == (set(names) or {node["metadata"]["name"] for node in nodes})

    def start_web_pods(self, workers: Sequence[str]) -> None:
        objects = [web_pod(worker) for worker in workers] + [WEB_SERVICE]
        self.kubectl("apply", stdin="---\n".join(yaml.safe_dump(each) for each in objects))
        for worker in workers:
            self.kubectl("wait", "--for=condition=Ready", f"pod/web-{worker}", "--timeout=120s")

    def pod_ip(self, name: str) -> str:
        return str(self.kubectl_json("get", "pod", name)["status"]["podIP"])

    def service_ip(self) -> str:
        return str(self.kubectl_json("get", "service", "web")["spec"]["clusterIP"])

    def decoded(self, text: str) -> bytes:
        return base64.b64decode(text)

    def create_forged_csrs(self, node: str) -> list[str]:
        """Send forged requests with the node's own client certificate: the strongest position that a thief can have."""
        names = []
        for what, pem_text in forged_requests(node, self.addresses[node]).items():
            request = base64.b64encode(pem_text).decode()
            # Named as a kubelet's are, so that it is the content for which they stay pending.
            name = f"csr-{what}"
            body = {
                "apiVersion": "certificates.k8s.io/v1",
                "kind": "CertificateSigningRequest",
                "metadata": {"name": name},
                "spec": {
                    "request": request,
                    "signerName": "kubernetes.io/kubelet-serving",
                    "usages": ["digital signature", "key encipherment", "server auth"],
                },
            }
            pem = "/var/lib/kubelet/pki/kubelet-client-current.pem"
            sent = self._run_on(
                node,
                f"curl -sS --fail-with-body --cacert /etc/kubernetes/pki/ca.crt --cert {pem} --key {pem}"
                f" -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
                " https://127.0.0.1:8443/apis/certificates.k8s.io/v1/certificatesigningrequests",
            )
            if sent.returncode == 0:
                names.append(name)
        return names

    @staticmethod
    def kernel_settings() -> str:
        """The machine's own sysctls outside net.*, without those that count or draw lots."""
        moving = (
            "kernel.random.",
            "kernel.perf_",
            "fs.binfmt_misc.",
            "fs.quota.",
            "fs.dentry-state",
            "fs.file-nr",
            "fs.inode-",
            "kernel.ns_last_pid",
            "fs.aio-nr",
            "kernel.pty.nr",
        )
        listed = subprocess.run(
            ["sysctl", "-a"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False
        )
        kept = [
            line
            for line in listed.stdout.splitlines()
            if line.startswith(("vm.", "kernel.", "fs.")) and not line.startswith(moving)
        ]
        return "\n".join(kept)


def forged_requests(node: str, address: str) -> dict[str, bytes]:
    """Requests for a node that ask for more than it is listed with, by what is wrong with them; truly signed."""
    own = (serving.dns(node), serving.ip(*ip_address(address).packed))
    foreign = serving.ip(10, 99, 0, 1)
    trick = serving.dns(f"{node}, IP Address:{address}\n    X509v3 Subject Alternative Name: \n DNS:{node}")
    mine, other = serving.subject(node), serving.subject("w2" if node != "w2" else "w1")

    def asking(*names: bytes) -> bytes:
        return serving.extension_request(serving.names_extension(*names))

    twice = serving.extension_request(serving.names_extension(*own), serving.names_extension(foreign))
    return {
        "foreignaddress": signed(mine, asking(*own, foreign)),
        "foreignname": signed(mine, asking(serving.dns("kubernetes"), *own)),
        "othernode": signed(other, asking(*own)),
        "secondextension": signed(mine, twice),
        "commaandnewline": signed(mine, asking(trick, foreign)),
        "nonames": signed(mine),
    }


def signed(subject: bytes, *attributes: bytes) -> bytes:
    """Return a request in PEM with a signature that holds; the API takes no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    tlv = serving.tlv
    information = tlv(0x30, tlv(0x02, b"\0"), subject, public, tlv(0xA0, *attributes))
    algorithm = tlv(0x30, bytes.fromhex("06082a8648ce3d040302"))
    signature = key.sign(information, ec.ECDSA(SHA256()))
    return serving.pem(tlv(0x30, information, algorithm, tlv(0x03, b"\0" + signature)))


def web_pod(worker: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{worker}", "labels": {"app": "web"}},
        "spec": {
            "nodeName": worker,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "web",
                    "image": "slipway.lab/busybox:1",
                    "imagePullPolicy": "Never",
                    "command": ["/bin/busybox", "sh", "-c"],
                    "args": [
                        f"mkdir -p /www; echo {worker} >/www/index.html; echo listening; exec httpd -f -p 8080 -h /www"
                    ],
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 2},
                }
            ],
        },
    }


WEB_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
