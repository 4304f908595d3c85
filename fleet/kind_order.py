"""In which order kinds of object are deleted: the reverse of the one in which render has them applied.

What nobody else refers to goes first, so that no pod loses its account or its configuration while it still runs.
"""

from __future__ import annotations

from fleet.kube import Ref

APPLIED = (
    "CustomResourceDefinition",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "IngressClass",
    "Namespace",
    "NetworkPolicy",
    "ServiceAccount",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "DaemonSet",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
    "APIService",
)
"""As in generator.render.objects, which fleet does not see; a test holds them equal."""


def deletion_order(ref: Ref) -> tuple[int, str, str, str]:
    """Return a sort key: kinds that are applied last come first, those that are not listed before them."""
    place = APPLIED.index(ref.kind) if ref.kind in APPLIED else len(APPLIED)
    return -place, ref.kind, ref.namespace, ref.name
