"""A real API server, controller manager and etcd as plain processes on loopback, below a scratch folder."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet.admin import Signer
from fleet.tls import ByteReader, ByteWriter
from generator.formats.yaml_text import yaml_text
from generator.pki.issuing import Authority, authority, certificate_pem, issue_ca, issue_leaf, load_certificates
from generator.pki.keys import key_pem, new_key, public_pem
from generator.pki.request import CERT_SIGN, CLIENT_AUTH, CRL_SIGN, DIGITAL_SIGNATURE, SERVER_AUTH, Request
from generator.sealing import create_identity, load_identity, parse_recipient, seal
from lab import artifacts
from tests.tools.real_etcd import ended, free_port

ALGORITHM = "ecdsa-p256"
CLUSTER = "loop"


@dataclass
class LoopbackApi:
    """What stands after the bring-up: the inputs of a cluster, its signer, and where the API server listens."""

    folder: Path
    cluster_dir: Path
    signer: Signer
    port: int
    ca: Authority

    def leaf(self, name: str, subject: tuple[tuple[str, str], ...], *, server: bool = False) -> tuple[bytes, bytes]:
        """Return certificate and key of a leaf of the cluster's CA, PEM."""
        key = new_key(ALGORITHM)
        usages = (DIGITAL_SIGNATURE, SERVER_AUTH, CLIENT_AUTH) if server else (DIGITAL_SIGNATURE, CLIENT_AUTH)
        request = Request(
            name, "ca", subject, ("localhost",) if server else (), ("127.0.0.1",) if server else (), usages, 30,
            ALGORITHM, None, (),
        )  # fmt: skip
        return certificate_pem(issue_leaf(request, key, self.ca, datetime.now(UTC))).encode(), key_pem(key)


class Loopback:
    """Opens streams on this machine, as a connection to a control-plane host would from there."""

    async def open_tcp(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """Return a stream to a loopback address."""
        import asyncio

        return await asyncio.open_connection(host, port)


async def connect(host: str) -> Loopback:
    """Return the connection to any host: this machine."""
    return Loopback()


@contextmanager
def running(folder: Path) -> Iterator[LoopbackApi]:
    """Bring up etcd, API server and controller manager; take them down at the end."""
    made = _inputs(folder)
    binaries = _binaries(folder)
    etcd_port, peer_port = free_port(), free_port()
    commands = {
        "etcd": {
            "data-dir": str(folder / "etcd"),
            "listen-client-urls": f"http://127.0.0.1:{etcd_port}",
            "advertise-client-urls": f"http://127.0.0.1:{etcd_port}",
            "listen-peer-urls": f"http://127.0.0.1:{peer_port}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer_port}",
            "initial-cluster": f"default=http://127.0.0.1:{peer_port}",
            "unsafe-no-fsync": "true",
        },
        "kube-apiserver": _api_server_flags(made, etcd_port),
        "kube-controller-manager": _controller_manager_flags(made),
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, flags in commands.items():
            processes.append(_start(binaries / name, flags, folder / f"{name}.log"))
            if name == "kube-apiserver":
                _wait_ready(made, processes[-1])
        yield made
    finally:
        for process in reversed(processes):
            ended(process)


def _inputs(folder: Path) -> LoopbackApi:
    cluster_dir = folder / "clusters" / CLUSTER
    (cluster_dir / "pki").mkdir(parents=True)
    key = new_key(ALGORITHM)
    request = Request("ca", "ca", (("CN", "kubernetes"),), (), (), (CERT_SIGN, CRL_SIGN), 365, ALGORITHM, None, ())
    pem = certificate_pem(issue_ca(request, key, datetime.now(UTC)))
    recipient = parse_recipient(create_identity(folder / "identity"))
    (cluster_dir / "pki" / "ca.crt").write_text(f"kubernetes — in words\n{pem}")
    (cluster_dir / "pki" / "ca.key.age").write_text(seal(key_pem(key), [recipient]))
    (folder / "ca.crt").write_text(pem)
    _private(folder / "ca.key", key_pem(key))
    ca = authority("ca", load_certificates(pem, "ca"), key, datetime.now(UTC))
    environment = {"SLIPWAY_IDENTITY": str(folder / "identity")}
    signer = Signer(CLUSTER, cluster_dir, identity=lambda: load_identity(environment), who="tester@loop")
    return LoopbackApi(folder, cluster_dir, signer, free_port(), ca)


def _api_server_flags(made: LoopbackApi, etcd_port: int) -> Mapping[str, str]:
    folder = made.folder
    certificate, key = made.leaf("apiserver", (("CN", "kube-apiserver"),), server=True)
    (folder / "apiserver.crt").write_bytes(certificate)
    _private(folder / "apiserver.key", key)
    account = new_key("rsa-2048")
    (folder / "sa.pub").write_text(public_pem(account))
    _private(folder / "sa.key", key_pem(account))
    return {
        "etcd-servers": f"http://127.0.0.1:{etcd_port}",
        "bind-address": "127.0.0.1",
        "secure-port": str(made.port),
        "cert-dir": str(folder),
        "tls-cert-file": str(folder / "apiserver.crt"),
        "tls-private-key-file": str(folder / "apiserver.key"),
        "client-ca-file": str(folder / "ca.crt"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": str(folder / "sa.pub"),
        "service-account-signing-key-file": str(folder / "sa.key"),
        "service-cluster-ip-range": "10.96.0.0/16",
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "enable-bootstrap-token-auth": "true",
        "endpoint-reconciler-type": "none",
    }


def _controller_manager_flags(made: LoopbackApi) -> Mapping[str, str]:
    folder = made.folder
    certificate, key = made.leaf("controller-manager", (("CN", "system:kube-controller-manager"),))
    _private(folder / "controller-manager.pem", certificate + key)
    kubeconfig = folder / "controller-manager.kubeconfig"
    pem = str(folder / "controller-manager.pem")
    server = {"server": f"https://127.0.0.1:{made.port}", "certificate-authority": str(folder / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "x", "cluster": server}],
        "users": [{"name": "x", "user": {"client-certificate": pem, "client-key": pem}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    kubeconfig.write_text(yaml_text(document))
    return {
        "kubeconfig": str(kubeconfig),
        "bind-address": "127.0.0.1",
        "secure-port": str(free_port()),
        "port": "0",
        "cert-dir": str(folder),
        "leader-elect": "false",
        # Pods of the tests have owners that do not exist, and nodes without a kubelet.
        "controllers": "*,-garbagecollector,-disruption,-replicaset,-daemonset,-nodelifecycle,-podgc",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": str(folder / "sa.key"),
        "root-ca-file": str(folder / "ca.crt"),
        "cluster-signing-cert-file": str(folder / "ca.crt"),
        "cluster-signing-key-file": str(folder / "ca.key"),
    }


def _binaries(folder: Path) -> Path:
    directory = artifacts.build()
    where = folder / "bin"
    where.mkdir()
    for name in ("kube-apiserver", "kube-controller-manager"):
        found = next(directory.glob(f"kubernetes/v*/bin/linux/*/{name}"))
        (where / name).symlink_to(found)
    with tarfile.open(next(directory.glob("etcd/v*/etcd-v*.tar.gz"))) as archive:
        member = next(one for one in archive.getmembers() if one.name.endswith("/etcd"))
        source = archive.extractfile(member)
        assert source is not None
        with source, (where / "etcd").open("wb") as target:
            shutil.copyfileobj(source, target)
    (where / "etcd").chmod(0o755)
    return where


def _start(program: Path, flags: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    words = [f"--{name}={value}" for name, value in flags.items()]
    with log.open("wb") as output:
        return subprocess.Popen([str(program), *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _wait_ready(made: LoopbackApi, process: subprocess.Popen[bytes]) -> None:
    context = made.signer.context("system:masters")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, (made.folder / "kube-apiserver.log").read_text()[-3000:]
        try:
            with socket.create_connection(("127.0.0.1", made.port), 2) as plain, context.wrap_socket(
                plain, server_hostname="127.0.0.1"
            ) as tls:  # fmt: skip
                tls.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                if b" 200 " in tls.recv(100):
                    return
        except (OSError, ssl.SSLError):
            pass
        time.sleep(0.5)
    raise AssertionError((made.folder / "kube-apiserver.log").read_text()[-3000:])


def _private(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)
