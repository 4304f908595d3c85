"""A cluster that is left alone: no Slipway command is run on it, and a watcher sees what it does by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml

from tests.lab.cluster_under_test import LabCluster

SAMPLE_SECONDS = 15
PROXY_SECONDS = 360
"""Within this time of a rotation kube-proxy programs a new Service: client-go reads its files every five minutes."""

CLIENT, SERVING = "client", "serving"


@dataclass(frozen=True)
class Rotation:
    """A certificate of a kubelet was replaced; `at` in seconds of the monotonic clock, when it was noticed."""

    host: str
    kind: str
    serial: str
    at: float


@dataclass
class QuietWatch:
    """What a watcher has seen since the quiet `began`, in seconds of the monotonic clock.

    `journal` and `requests`: Slipway's own journal and the certificates asked for until then.
    """

    cluster: LabCluster
    began: float
    journal: str
    requests: frozenset[str]
    samples: int = 0
    failures: list[str] = field(default_factory=list)
    rotations: list[Rotation] = field(default_factory=list)
    programmed: dict[Rotation, float | None] = field(default_factory=dict)
    _serials: dict[tuple[str, str], str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def hosts(self) -> tuple[str, ...]:
        return (*self.cluster.control, *self.cluster.workers)

    def rotated(self, host: str, kind: str) -> int:
        """How often a certificate has been replaced since the quiet began."""
        return sum(one.host == host and one.kind == kind for one in self.rotations)

    def start(self) -> None:
        for host in self.hosts:
            for kind in (CLIENT, SERVING):
                self._serials[host, kind] = serial(self.cluster, host, kind)
                assert self._serials[host, kind], f"{host} has no {kind} certificate"
        self._run(self._watch)

    def end(self) -> None:
        """Stop watching; every thread is waited for."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="quiet watch")
        self._threads.append(thread)
        thread.start()

    def _watch(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self.sample()
            self._over.wait(max(0.0, SAMPLE_SECONDS - (time.monotonic() - began)))

    def sample(self) -> None:
        """Try exec and logs on every host, and see whose certificates are new."""
        for host in self.hosts:
            for what, words in (
                ("exec", ("exec", f"web-{host}", "--", "/bin/busybox", "cat", "/www/index.html")),
                ("logs", ("logs", f"web-{host}", "--tail=1")),
            ):
                try:
                    self.cluster.kubectl("--request-timeout=20s", *words)
                except AssertionError as error:
                    self.failures.append(f"{time.monotonic() - self.began:.0f} s: {what} on {host}: {error}")
            for kind in (CLIENT, SERVING):
                found = serial(self.cluster, host, kind)
                if found and found != self._serials[host, kind]:
                    self._serials[host, kind] = found
                    rotation = Rotation(host, kind, found, time.monotonic())
                    self.rotations.append(rotation)
                    if kind == CLIENT:
                        self._run(lambda rotation=rotation: self._new_service(rotation))
        self.samples += 1

    def _new_service(self, rotation: Rotation) -> None:
        """Make a Service and note how many seconds after the rotation it answers on the host, None for never."""
        name = f"after-{rotation.host}-{rotation.serial.lower()[-8:]}"
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        manifest = self.cluster.workspace.parent / f"{name}.yaml"
        manifest.write_text(yaml.safe_dump(service))
        self.cluster.kubectl("apply", "-f", str(manifest))
        address = self.cluster.kubectl_json("get", "service", name)["spec"]["clusterIP"]
        while time.monotonic() < rotation.at + PROXY_SECONDS:
            answer = self.cluster.try_sh(rotation.host, f"curl -sS --max-time 2 http://{address}/").stdout.strip()
            if answer in self.hosts:
                self.programmed[rotation] = time.monotonic() - rotation.at
                return
            if self._over.wait(2):
                return
        self.programmed[rotation] = None


def serial(cluster: LabCluster, host: str, kind: str) -> str:
    """The serial number of what a kubelet holds as client or shows as server, "" where it cannot be had."""
    if kind == CLIENT:
        source = "cat /var/lib/kubelet/pki/kubelet-client-current.pem"
    else:
        source = f"openssl s_client -connect {cluster.addresses[host]}:10250 </dev/null 2>/dev/null"
    return cluster.try_sh(host, f"{source} | openssl x509 -noout -serial").stdout.strip().removeprefix("serial=")


def slipway_journal(cluster: LabCluster) -> str:
    """The journal of Slipway's runs on the cluster."""
    return cluster.sh(cluster.control[0], "cat /var/lib/slipway/journal")


def serving_requests(cluster: LabCluster) -> list[str]:
    """The names of the requests for serving certificates that have been granted."""
    return [
        str(one["metadata"]["name"])
        for one in cluster.kubectl_json("get", "csr")["items"]
        if one["spec"]["signerName"] == "kubernetes.io/kubelet-serving" and one["status"].get("certificate")
    ]


def begin(cluster: LabCluster) -> QuietWatch:
    """Sign an admin's kubeconfig for the last time, start a pod on each host, and leave the cluster alone."""
    cluster.start_web_pods((*cluster.control, *cluster.workers))
    watch = QuietWatch(cluster, time.monotonic(), slipway_journal(cluster), frozenset(serving_requests(cluster)))
    watch.start()
    return watch
