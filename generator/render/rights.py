"""Who may do what, as questions that verify asks of the API: what each identity must be able to do, and what never.

The rights themselves are in addons/00-cluster-rbac.libsonnet, in the default roles of the API server
(https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings) and in its Node
authorizer (https://kubernetes.io/docs/reference/access-authn-authz/node/). Questions are chosen so that their answer is
the same for every supported minor: from 1.32 on a node may list nodes and pods only with a field selector, which a
question cannot carry in older versions, so it is not asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from generator.spec.model import Cluster

NODE = "{node}"
"""Stands for the name of a node; verify fills in nodes of the cluster."""

_CSRS = ("certificates.k8s.io", "certificatesigningrequests")
_RBAC = "rbac.authorization.k8s.io"
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a SubjectAccessReview: a verb on a resource (namespace "" for all of them), or on a `path`."""

    verb: str
    resource: str = ""
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who asks: user and groups as a certificate or token gives them, what he must be able to do and what not.

    Kubernetes adds system:authenticated to everybody who is known; it stands among the groups.
    """

    name: str
    user: str
    groups: tuple[str, ...]
    may: tuple[Question, ...]
    may_not: tuple[Question, ...]


READ_SECRETS = (Question("get", "secrets", namespace="kube-system"), Question("list", "secrets"))
BECOME_ADMIN = (
    Question("create", "clusterrolebindings", _RBAC),
    Question("create", "rolebindings", _RBAC, namespace="kube-system"),
    Question("escalate", "clusterroles", _RBAC),
    Question("impersonate", "users"),
    Question("impersonate", "groups"),
)
RUN_THINGS = (
    Question("create", "pods", namespace="kube-system"),
    Question("create", "pods", namespace="default"),
    Question("create", "pods", subresource="exec", namespace="kube-system"),
    Question("get", "nodes", subresource="proxy"),
)
DECIDE_REQUESTS = (
    Question("update", _CSRS[1], _CSRS[0], "approval"),
    Question("update", _CSRS[1], _CSRS[0], "status"),
    Question("approve", "signers", _CSRS[0], name="kubernetes.io/kube-apiserver-client"),
    Question("sign", "signers", _CSRS[0], name="kubernetes.io/kube-apiserver-client"),
)
READ_WORKLOADS = (
    Question("list", "pods"),
    Question("list", "pods", namespace="kube-system"),
    Question("list", "configmaps", namespace="kube-system"),
)
CHANGE_NODES = (Question("delete", "nodes"), Question("patch", "nodes"))


def identities(cluster: Cluster) -> tuple[Identity, ...]:
    """Return everybody whose rights verify asks about, in the order of a reader's interest."""
    return tuple(_identities(cluster))


def _identities(cluster: Cluster) -> Iterator[Identity]:
    yield _node()
    if cluster.pki.kube_proxy_leaf:
        yield Identity(
            "kube-proxy", "system:kube-proxy", (_AUTHENTICATED,), _PROXY, (*READ_SECRETS, *RUN_THINGS, *BECOME_ADMIN)
        )
    yield _controller_manager()
    yield _scheduler()
    yield Identity(
        "kube-apiserver towards kubelets",
        "kube-apiserver-kubelet-client",
        (_AUTHENTICATED,),
        tuple(
            Question(verb, "nodes", subresource=part)
            for verb, part in (
                ("get", "proxy"), ("create", "proxy"), ("get", "log"), ("get", "stats"), ("get", "metrics"),
            )
        ),
        (*READ_SECRETS, *RUN_THINGS[:3], *READ_WORKLOADS, *CHANGE_NODES, *DECIDE_REQUESTS, *BECOME_ADMIN),
    )  # fmt: skip
    yield _approver()
    yield Identity(
        "administrators",
        "slipway:verify",
        ("slipway:admins", _AUTHENTICATED),
        (Question("*", "*", "*"), Question("get", path="/metrics")),
        (),
    )
    yield _readers()
    yield _joining()
    yield from _strangers(cluster)


_PROXY = (
    Question("list", "services"),
    Question("watch", "services"),
    Question("list", "endpointslices", "discovery.k8s.io"),
    Question("create", "events", "events.k8s.io", namespace="default"),
)


def _node() -> Identity:
    # The kubelet by the Node authorizer, and kube-proxy, which uses the same certificate, by a binding of ours.
    return Identity(
        f"node {NODE}, kubelet and kube-proxy",
        f"system:node:{NODE}",
        ("system:nodes", _AUTHENTICATED),
        (
            Question("get", "nodes", name=NODE),
            Question("patch", "nodes", subresource="status", name=NODE),
            Question("update", "leases", "coordination.k8s.io", namespace="kube-node-lease", name=NODE),
            Question("create", "tokenreviews", "authentication.k8s.io"),
            Question("create", "subjectaccessreviews", "authorization.k8s.io"),
            Question("create", _CSRS[1], _CSRS[0]),
            Question("create", _CSRS[1], _CSRS[0], "selfnodeclient"),
            *_PROXY,
        ),
        (
            *READ_SECRETS,
            Question("get", "secrets", namespace="kube-system", name="slipway-verify"),
            *RUN_THINGS[2:],
            Question("delete", "nodes"),
            *DECIDE_REQUESTS,
            *BECOME_ADMIN,
        ),
    )


def _controller_manager() -> Identity:
    return Identity(
        "kube-controller-manager",
        "system:kube-controller-manager",
        (_AUTHENTICATED,),
        (
            Question("list", "pods"),
            Question("watch", "nodes"),
            Question("list", "secrets"),
            Question("create", "serviceaccounts", subresource="token", namespace="kube-system"),
            Question("create", "tokenreviews", "authentication.k8s.io"),
            Question("create", "subjectaccessreviews", "authorization.k8s.io"),
            Question(
                "update", "leases", "coordination.k8s.io", namespace="kube-system", name="kube-controller-manager"
            ),
        ),
        # Its controllers change things under service accounts of their own; the program itself may do little.
        (*RUN_THINGS, *CHANGE_NODES, *DECIDE_REQUESTS, *BECOME_ADMIN),
    )


def _scheduler() -> Identity:
    return Identity(
        "kube-scheduler",
        "system:kube-scheduler",
        (_AUTHENTICATED,),
        (
            Question("list", "pods"),
            Question("list", "nodes"),
            Question("create", "pods", subresource="binding"),
            Question("update", "leases", "coordination.k8s.io", namespace="kube-system", name="kube-scheduler"),
        ),
        (*READ_SECRETS, *RUN_THINGS, *CHANGE_NODES, *DECIDE_REQUESTS, *BECOME_ADMIN),
    )


def _approver() -> Identity:
    return Identity(
        "csr-approver",
        "slipway:csr-approver",
        (_AUTHENTICATED,),
        (
            Question("list", _CSRS[1], _CSRS[0]),
            Question("get", _CSRS[1], _CSRS[0]),
            Question("update", _CSRS[1], _CSRS[0], "approval"),
            Question("approve", "signers", _CSRS[0], name="kubernetes.io/kubelet-serving"),
            Question("get", "configmaps", namespace="kube-system", name="slipway-nodes"),
        ),
        (
            *READ_SECRETS,
            *READ_WORKLOADS,
            Question("get", "configmaps", namespace="kube-system", name="kube-root-ca.crt"),
            *RUN_THINGS,
            *CHANGE_NODES,
            *DECIDE_REQUESTS[1:],
            Question("approve", "signers", _CSRS[0], name="kubernetes.io/kube-apiserver-client-kubelet"),
            Question("sign", "signers", _CSRS[0], name="kubernetes.io/kubelet-serving"),
            *BECOME_ADMIN,
        ),
    )


def _readers() -> Identity:
    return Identity(
        "readers",
        "slipway:verify",
        ("slipway:readers", _AUTHENTICATED),
        (
            Question("list", "nodes"),
            Question("list", "pods"),
            Question("list", "configmaps"),
            Question("list", _CSRS[1], _CSRS[0]),
            Question("list", "clusterrolebindings", _RBAC),
            Question("list", "customresourcedefinitions", "apiextensions.k8s.io"),
        ),
        (
            *(*READ_SECRETS, *RUN_THINGS, *CHANGE_NODES),
            Question("delete", "pods"),
            Question("update", "configmaps", namespace="kube-system"),
            *DECIDE_REQUESTS,
            *BECOME_ADMIN,
        ),
    )


def _joining() -> Identity:
    return Identity(
        "joining hosts",
        "system:bootstrap:abcdef",
        ("system:bootstrappers", "system:bootstrappers:slipway", _AUTHENTICATED),
        (
            Question("create", _CSRS[1], _CSRS[0]),
            Question("get", _CSRS[1], _CSRS[0]),
            Question("create", _CSRS[1], _CSRS[0], "nodeclient"),
        ),
        (
            *READ_SECRETS,
            *READ_WORKLOADS,
            Question("create", _CSRS[1], _CSRS[0], "selfnodeclient"),
            Question("list", "nodes"),
            Question("create", "nodes"),
            *RUN_THINGS,
            *CHANGE_NODES,
            *DECIDE_REQUESTS,
            *BECOME_ADMIN,
        ),
    )


def _strangers(cluster: Cluster) -> Iterator[Identity]:
    nothing = (
        *READ_SECRETS,
        *READ_WORKLOADS,
        Question("list", "nodes"),
        Question("create", _CSRS[1], _CSRS[0]),
        *RUN_THINGS,
        *CHANGE_NODES,
        *DECIDE_REQUESTS,
        *BECOME_ADMIN,
        Question("get", path="/metrics"),
        Question("get", path="/logs"),
    )
    yield Identity(
        "anybody with a certificate of the cluster",
        "slipway:nobody",
        (_AUTHENTICATED,),
        (Question("create", "selfsubjectaccessreviews", "authorization.k8s.io"), Question("get", path="/version")),
        nothing,
    )
    yield Identity(
        "any service account",
        "system:serviceaccount:slipway-verify:nobody",
        ("system:serviceaccounts", "system:serviceaccounts:slipway-verify", _AUTHENTICATED),
        (),
        nothing,
    )
    yield Identity(
        "anonymous",
        "system:anonymous",
        ("system:unauthenticated",),
        tuple(Question("get", path=path) for path in cluster.api.anonymous_paths),
        (
            *nothing,
            Question("get", path="/api"),
            Question("create", "selfsubjectaccessreviews", "authorization.k8s.io"),
            Question("get", "configmaps", namespace="kube-public", name="cluster-info"),
        ),
    )
