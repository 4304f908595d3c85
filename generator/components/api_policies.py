"""What the API server reads beside its flags: encryption at rest, audit policy, authentication; each of its minor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.formats.yaml_text import yaml_text
from generator.spec.model import Cluster

PROVIDERS = ("secretbox", "aescbc", "aesgcm")


def encryption_text(provider: str, resources: Sequence[str], key_names: Sequence[str]) -> str:
    """Return an EncryptionConfiguration with slots for the keys; `key_names` are secret names, the writer first.

    The chosen provider writes, with the first key. What another provider wrote before the spec chose this one stays
    readable, and so does plain text: identity comes last, or first where nothing is to be encrypted.
    """
    keys = [{"name": name.rpartition("/")[2], "secret": f"{{{{secret:{name}}}}}"} for name in key_names]
    order = sorted(PROVIDERS, key=lambda name: name != provider)
    providers: list[dict[str, Any]] = [{name: {"keys": keys}} for name in order]
    providers.insert(len(providers) if provider else 0, {"identity": {}})
    return yaml_text(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": list(resources), "providers": providers}],
        },
        sort=False,
    )


def authentication_config(cluster: Cluster) -> dict[str, Any]:
    """Return the AuthenticationConfiguration as a map; empty where the minor has none that opens single paths.

    The field anonymous works without a feature gate from 1.32 on (KEP-4633), as v1beta1 until v1 came with 1.34.
    """
    if cluster.versions.minor < (1, 32) or not cluster.api.anonymous_paths:
        return {}
    return {
        "apiVersion": f"apiserver.config.k8s.io/{'v1' if cluster.versions.minor >= (1, 34) else 'v1beta1'}",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": [{"path": path} for path in cluster.api.anonymous_paths]},
    }


def audit_text() -> str:
    """Return our audit policy: who changed what, nothing secret, and none of the noise that a quiet cluster makes."""
    return yaml_text(_AUDIT_POLICY, sort=False)


def _resources(group: str, *names: str) -> dict[str, Any]:
    return {"group": group, "resources": list(names)} if names else {"group": group}


_COMPONENT_USERS = [
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "slipway:csr-approver",
]
_READS = ["get", "list", "watch"]

# Rules are tried in order and the first that fits decides (audit.k8s.io/v1).
_AUDIT_POLICY: Mapping[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # Probes and discovery.
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]},
        {"level": "None", "verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*"]},
        # Events are a record already.
        {"level": "None", "resources": [_resources("", "events"), _resources("events.k8s.io", "events")]},
        # Heartbeats of nodes and leaders.
        {"level": "None", "resources": [_resources("coordination.k8s.io", "leases")]},
        {"level": "None", "userGroups": ["system:nodes"], "resources": [_resources("", "nodes/status")]},
        # Bodies of these are secret, or may be: only that it happened, whoever did it.
        {
            "level": "Metadata",
            "resources": [
                _resources("", "secrets", "configmaps", "serviceaccounts/token"),
                _resources("authentication.k8s.io", "tokenreviews"),
            ],
        },
        # Into a container, or through it: who and where.
        {
            "level": "Metadata",
            "resources": [
                _resources("", "pods/exec", "pods/attach", "pods/portforward"),
                _resources("", "pods/proxy", "services/proxy", "nodes/proxy"),
            ],
        },
        # What nodes, components and controllers read without end.
        {"level": "None", "userGroups": ["system:nodes"], "verbs": _READS},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"], "verbs": _READS},
        {"level": "None", "users": _COMPONENT_USERS, "verbs": _READS},
        # Rights: the whole change and its outcome.
        {
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            "resources": [_resources("rbac.authorization.k8s.io"), _resources("certificates.k8s.io")],
        },
        {"level": "Metadata", "verbs": _READS},
        {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}
