"""Labels and taints that nodes carry because of what their pool is: its roles, and GPUs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from generator.spec.gpu import NVIDIA_KEY, Gpu
from generator.spec.model import Taint

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
MASTER_LABEL = "node-role.kubernetes.io/master"
WORKER_LABEL = "node-role.kubernetes.io/worker"


def role_labels(roles: Collection[str], minor: tuple[int, int], gpu: Gpu | None) -> dict[str, str]:
    """Return the labels of a pool's nodes beside those that the spec writes."""
    labels: dict[str, str] = {}
    if "control-plane" in roles:
        labels[CONTROL_PLANE_LABEL] = ""
        if minor < (1, 24):
            labels[MASTER_LABEL] = ""
    if "worker" in roles:
        labels[WORKER_LABEL] = ""
    if gpu is not None:
        labels[NVIDIA_KEY] = "true"
    return labels


def node_taints(
    roles: Collection[str], minor: tuple[int, int], written: Iterable[Taint] | None, gpu: Gpu | None
) -> tuple[Taint, ...]:
    """Return the taints of a pool's nodes; `written` are those of the spec, which stand in for the control plane's.

    That of GPUs comes on top, unless the spec writes one like it with a value of its own.
    """
    if written is not None:
        taints = tuple(written)
    elif "control-plane" in roles and "worker" not in roles:
        taints = control_plane_taints(minor)
    else:
        taints = ()
    if gpu is None or not gpu.taint or any((one.key, one.effect) == (NVIDIA_KEY, "NoSchedule") for one in taints):
        return taints
    return (*taints, Taint(NVIDIA_KEY, "", "NoSchedule"))


def control_plane_taints(minor: tuple[int, int]) -> tuple[Taint, ...]:
    """Return the taints of control-plane nodes as kubeadm sets them.

    Below 1.24 the key ends in master, in 1.24 both keys are set, from 1.25 on only control-plane (kubernetes pull
    request 110095 and the release notes of 1.24).
    """
    keys = ([MASTER_LABEL] if minor < (1, 25) else []) + ([CONTROL_PLANE_LABEL] if minor >= (1, 24) else [])
    return tuple(Taint(key, "", "NoSchedule") for key in keys)
