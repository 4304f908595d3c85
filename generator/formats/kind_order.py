"""In which order kinds of object are applied: what others refer to first. Deletes go the other way round."""

from __future__ import annotations

KIND_ORDER = (
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
"""Kinds that are not listed come last, by name."""


def place_of_kind(kind: str) -> int:
    """Return the place of a kind in the order in which kinds are applied."""
    return KIND_ORDER.index(kind) if kind in KIND_ORDER else len(KIND_ORDER)
