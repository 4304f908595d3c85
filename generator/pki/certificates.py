"""Every certificate of a cluster, on one page: who it is for, what it says, who signs it, where it goes.

Names are kubeadm's (https://kubernetes.io/docs/setup/best-practices/certificates/); those of one host lie under
hosts/<host>/, those of addons, which belong to no host and reach the cluster in Secrets, under addons/. A leaf carries
the names and addresses of its own host or Service only, so that a stolen one impersonates no other.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.pki.request import (
    CERT_SIGN,
    CLIENT_AUTH,
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    SERVER_AUTH,
    Attribute,
    Place,
    Request,
    key_usages,
    split_sans,
)
from generator.spec.addons.calico import typha_wanted
from generator.spec.addons.etcd_backup import runs_by, runs_on
from generator.spec.layout import (
    CA_CERT,
    ENDPOINT_BALANCER_DIR,
    ETCD_BACKUP_DIR,
    ETCD_PKI_DIR,
    FRONT_PROXY_CA_CERT,
    PKI_DIR,
    SIGNING_CERT,
    service_account_files,
)
from generator.spec.model import Cluster, Host

CA_NAMES = ("ca", "etcd/ca", "front-proxy-ca")
ADDON_LEAVES = "addons/"
"""Below which name the leaves of addons lie."""
SERVICE_ACCOUNT = "sa"
"""The first key pair that signs service-account tokens (a rotation adds sa-2, …): no certificate, but `sa.pub`."""

CA_DAYS = 3650
LEAF_DAYS = 365
LOOPBACK = ("localhost", "127.0.0.1")


def certificates(cluster: Cluster) -> tuple[Request, ...]:
    """Return the requests of all certificates of a cluster: CAs, leaves of addons, then leaves by host and name."""
    leaves: list[Request] = [*_addons(cluster)]
    for host in cluster.hosts:
        if "etcd" in host.pool.roles:
            leaves.extend(_etcd_member(cluster, host))
        if "control-plane" in host.pool.roles:
            leaves.extend(_control_plane(cluster, host))
        if host.pool.is_node and cluster.pki.kube_proxy_leaf:
            leaves.append(_kube_proxy(cluster, host))
        if runs_on(cluster, host.pool.roles):
            leaves.append(_etcd_backup(cluster, host))
    return (*_authorities(cluster), *sorted(leaves, key=lambda request: request.name))


def service_account_places(pair: str = SERVICE_ACCOUNT, *, signs: bool = True) -> tuple[Place, ...]:
    """Return where a service-account key pair goes; its private key only while it signs."""
    private, public = service_account_files(pair)
    return (Place(public, "control-plane", private if signs else ""),)


def _authorities(cluster: Cluster) -> Iterator[Request]:
    # Three CAs: a certificate for one circle opens nothing in another. In particular every kubelet certificate would
    # open etcd if both had one CA, and every client certificate would pass as an aggregator's front proxy.
    # Its key goes to the controller manager alone, which signs the certificates of kubelets.
    trusted, signing = (
        Place(CA_CERT, "control-plane, worker"),
        Place(SIGNING_CERT, "control-plane", f"{PKI_DIR}/ca.key"),
    )
    yield _ca(cluster, "ca", "kubernetes", trusted, signing, *_checked_by_balancers(cluster))
    yield _ca(
        cluster,
        "etcd/ca",
        "etcd-ca",
        Place(f"{ETCD_PKI_DIR}/ca.crt", "etcd"),
        Place(f"{PKI_DIR}/etcd/ca.crt", "control-plane"),
        *_checked_by_backup(cluster),
    )
    yield _ca(cluster, "front-proxy-ca", "front-proxy-ca", Place(FRONT_PROXY_CA_CERT, "control-plane"))


def _checked_by_backup(cluster: Cluster) -> Iterator[Place]:
    if cluster.addons.etcd_backup.enabled:
        yield Place(f"{ETCD_BACKUP_DIR}/ca.crt", "etcd" if runs_by(cluster) == "timer" else "control-plane")


def _checked_by_balancers(cluster: Cluster) -> Iterator[Place]:
    # haproxy checks the certificate of each API server before it sends anybody there.
    if cluster.api.balancer == "haproxy":
        yield Place(f"/etc/{cluster.api.balancer_name}/ca.crt", "control-plane, worker")
    if any(cluster.carries_endpoint(host.pool) for host in cluster.hosts):
        role = "load-balancer" if cluster.api.vip is None else cluster.api.vip.role
        yield Place(f"{ENDPOINT_BALANCER_DIR}/ca.crt", role)


def _etcd_member(cluster: Cluster, host: Host) -> Iterator[Request]:
    own = (*LOOPBACK, host.name, *host.addresses)
    # etcd's JSON gateway calls its own gRPC port with the server certificate, so a server is also a client; members
    # call each other, so a peer is both too. The names are checked by whoever calls, hence loopback for etcdctl.
    both = (SERVER_AUTH, CLIENT_AUTH)
    yield _leaf(cluster, host, "etcd/server", "etcd/ca", host.name, both, own, f"{ETCD_PKI_DIR}/server")
    yield _leaf(cluster, host, "etcd/peer", "etcd/ca", host.name, both, own, f"{ETCD_PKI_DIR}/peer")
    yield _leaf(
        cluster,
        host,
        "etcd/healthcheck-client",
        "etcd/ca",
        "kube-etcd-healthcheck-client",
        (CLIENT_AUTH,),
        (),
        f"{ETCD_PKI_DIR}/healthcheck-client",
    )


def _control_plane(cluster: Cluster, host: Host) -> Iterator[Request]:
    client, both = (CLIENT_AUTH,), (SERVER_AUTH, CLIENT_AUTH)
    yield _leaf(
        cluster,
        host,
        "apiserver",
        "ca",
        "kube-apiserver",
        (SERVER_AUTH,),
        api_server_sans(cluster, host),
        f"{PKI_DIR}/apiserver",
    )
    # Users of their own, bound to just what they need; system:masters could not be taken back by any RBAC rule.
    for name, issuer, user in (
        ("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client"),
        ("apiserver-etcd-client", "etcd/ca", "kube-apiserver-etcd-client"),
        ("front-proxy-client", "front-proxy-ca", "front-proxy-client"),
        ("csr-approver", "ca", "slipway:csr-approver"),
    ):
        yield _leaf(cluster, host, name, issuer, user, client, (), f"{PKI_DIR}/{name}")
    # These two also serve health and metrics on loopback with the same certificate, so that gates can verify them.
    for name in ("controller-manager", "scheduler"):
        yield _leaf(cluster, host, name, "ca", f"system:kube-{name}", both, LOOPBACK, f"{PKI_DIR}/{name}")


def _kube_proxy(cluster: Cluster, host: Host) -> Request:
    return _leaf(cluster, host, "kube-proxy", "ca", "system:kube-proxy", (CLIENT_AUTH,), (), f"{PKI_DIR}/kube-proxy")


def _etcd_backup(cluster: Cluster, host: Host) -> Request:
    # etcd knows no smaller right than everything, so this opens as much as any of its client certificates; one of its
    # own can be told from the others in etcd's log, and is renewed and watched like them.
    stem = f"{ETCD_BACKUP_DIR}/backup"
    return _leaf(cluster, host, "etcd/backup", "etcd/ca", "kube-etcd-backup", (CLIENT_AUTH,), (), stem)


def _addons(cluster: Cluster) -> Iterator[Request]:
    if cluster.addons.metrics_server.enabled:
        yield _addon_server(cluster, "metrics-server", "metrics-server", "metrics-server", "kube-system")
    if typha_wanted(cluster):
        # Felix and typha know each other by these names. The API takes the client for a user of that name, to whom no
        # binding gives anything; who has a group of its own, or a name that a binding knows, would bring rights along.
        yield _addon_server(cluster, "typha", "slipway:typha", "calico-typha", "kube-system")
        yield _leaf(cluster, None, f"{ADDON_LEAVES}calico-node", "ca", "slipway:calico-node", (CLIENT_AUTH,), ())


def _addon_server(cluster: Cluster, name: str, common_name: str, service: str, namespace: str) -> Request:
    names = (service, f"{service}.{namespace}", f"{service}.{namespace}.svc")
    sans = (*names, f"{names[-1]}.{cluster.network.domain}")
    return _leaf(cluster, None, f"{ADDON_LEAVES}{name}", "ca", common_name, (SERVER_AUTH,), sans)


def api_server_sans(cluster: Cluster, host: Host) -> tuple[str, ...]:
    """Return every name and address by which the API is entered on this host.

    Loopback for the nodes' local balancer, the host itself, endpoint and virtual address in front, the Service
    `kubernetes` in each family and under each of its names, and what the spec adds. No name ends with a dot.
    """
    service = "kubernetes.default.svc"
    endpoint = () if cluster.api.endpoint_host is None else (cluster.api.endpoint_host,)
    virtual = () if cluster.api.vip is None else (cluster.api.vip.address,)
    return (
        *LOOPBACK,
        host.name,
        host.node_name,
        *host.addresses,
        *endpoint,
        *virtual,
        *cluster.network.service_ips,
        "kubernetes",
        "kubernetes.default",
        service,
        f"{service}.{cluster.network.domain}",
        *cluster.api.extra_sans,
    )


def _ca(cluster: Cluster, name: str, common_name: str, *places: Place) -> Request:
    return Request(
        name=name,
        issuer=name,
        subject=_subject(cluster, common_name),
        dns=(),
        ips=(),
        usages=(DIGITAL_SIGNATURE, CERT_SIGN, CRL_SIGN),
        days=cluster.pki.ca_days.get(name, CA_DAYS),
        algorithm=cluster.pki.algorithm,
        host=None,
        places=places,
    )


def _leaf(
    cluster: Cluster,
    host: Host | None,
    name: str,
    issuer: str,
    common_name: str,
    extended: tuple[str, ...],
    sans: tuple[str, ...],
    stem: str = "",
) -> Request:
    names, addresses = split_sans(sans)
    # A server's subject is decoration. A client's is its user and groups, so it holds those and nothing else.
    is_identity = issuer != "etcd/ca" and CLIENT_AUTH in extended
    return Request(
        name=name if host is None else f"hosts/{host.name}/{name}",
        issuer=issuer,
        subject=(("CN", common_name),) if is_identity or not sans else _subject(cluster, common_name),
        dns=names,
        ips=addresses,
        usages=key_usages(cluster.pki.algorithm, *extended),
        days=cluster.pki.leaf_days.get(name, LEAF_DAYS),
        algorithm=cluster.pki.algorithm,
        host=None if host is None else host.name,
        places=() if host is None else (Place(f"{stem}.crt", host.name, f"{stem}.key"),),
    )


_SUBJECT_FIELDS = ("C", "ST", "L", "OU")


def _subject(cluster: Cluster, common_name: str) -> tuple[Attribute, ...]:
    # Never an organization: Kubernetes reads it as a group.
    added = ((name, cluster.pki.subject[name]) for name in _SUBJECT_FIELDS if name in cluster.pki.subject)
    return (*added, ("CN", common_name))
