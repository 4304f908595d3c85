"""Which versions go together: Kubernetes minors, etcd, containerd and the rest.

Sources. Supported minors: those between the oldest and the newest that data/component-flags.json measured. etcd: the
release that kubeadm of each minor pairs with (cmd/kubeadm/app/constants), raised to a patch release without the data
corruption of 3.5.0 to 3.5.2 (etcd CHANGELOG-3.5); 1.34 ships 3.6 (kubernetes pull request 131501), and from 1.36 on
kubeadm maps nothing below 3.6 (135701); /livez and /readyz of etcd came with 3.5.11 (124465).
containerd: its support table (containerd releases page). The kubelet speaks only CRI v1 from 1.26 on (110618), which
containerd has since 1.6; it speaks only CRI v1alpha2 below 1.23, which containerd 2.0 dropped; 1.35 is the last minor
that supports containerd 1.x.
"""

from __future__ import annotations

from dataclasses import dataclass

OLDEST_MINOR = (1, 20)
NEWEST_MINOR = (1, 36)
AGE = "1.2.1"
"""Encrypts backups; its format has been the same since 1.0 (https://age-encryption.org/v1)."""


@dataclass(frozen=True, slots=True)
class Companions:
    """The versions of everything beside Kubernetes that suit one minor."""

    etcd: str
    containerd: str
    runc: str
    cni_plugins: str


_OLD = Companions(etcd="3.4.27", containerd="1.6.20", runc="1.1.5", cni_plugins="1.2.0")
_MIDDLE = Companions(etcd="3.5.15", containerd="1.7.24", runc="1.2.2", cni_plugins="1.6.0")
_RECENT = Companions(etcd="3.5.21", containerd="2.0.5", runc="1.2.6", cni_plugins="1.6.0")
_NEW = Companions(etcd="3.6.11", containerd="2.2.3", runc="1.3.4", cni_plugins="1.8.0")

_COMPANIONS: tuple[tuple[tuple[int, int], Companions], ...] = (
    ((1, 20), _OLD),
    ((1, 22), Companions(etcd="3.5.15", containerd="1.6.20", runc="1.1.5", cni_plugins="1.2.0")),
    ((1, 26), _MIDDLE),
    ((1, 32), _RECENT),
    ((1, 34), _NEW),
)

_CRICTL = {(1, 20): "1.20.0", (1, 21): "1.21.0", (1, 22): "1.22.0", (1, 23): "1.23.0"}


def parts(version: str) -> tuple[int, ...]:
    """Return a version as numbers that compare: (1, 20, 2) for "1.20.2"."""
    return tuple(int(part) for part in version.split("."))


def minor_of(version: str) -> tuple[int, int]:
    """Return the minor of a version: (1, 20) for "1.20.2"."""
    major, minor = parts(version)[:2]
    return major, minor


def minor_text(minor: tuple[int, int]) -> str:
    """Return a minor as tables write it: "1.20"."""
    return f"{minor[0]}.{minor[1]}"


def companions(minor: tuple[int, int]) -> Companions:
    """Return what suits a minor; one outside the table gets the nearest entry."""
    suited = [entry for since, entry in _COMPANIONS if since <= minor]
    return suited[-1] if suited else _COMPANIONS[0][1]


def default_crictl(minor: tuple[int, int]) -> str:
    """Return the crictl release of a minor; cri-tools has one for each minor, with patch 0."""
    return _CRICTL.get(minor, f"{minor_text(minor)}.0")


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """Two versions that do not go together; `component` is the key below versions that is to change."""

    component: str
    what: str
    todo: str


def unsupported(kubernetes: str) -> Incompatibility | None:
    """Return why a Kubernetes version cannot be used, or None; what was not measured is refused, never guessed."""
    minor = minor_of(kubernetes)
    if OLDEST_MINOR <= minor <= NEWEST_MINOR:
        return None
    reason = "is older than" if minor < OLDEST_MINOR else "is newer than"
    bound = OLDEST_MINOR if minor < OLDEST_MINOR else NEWEST_MINOR
    return Incompatibility(
        "kubernetes",
        f"Kubernetes {kubernetes} {reason} {minor_text(bound)}, and what its flags are has not been measured",
        f"use a minor from {minor_text(OLDEST_MINOR)} to {minor_text(NEWEST_MINOR)}",
    )


def incompatibilities(kubernetes: str, etcd: str, containerd: str) -> list[Incompatibility]:
    """Return every pair of versions that does not work together."""
    minor, found = minor_of(kubernetes), []
    name = f"Kubernetes {minor_text(minor)}"
    for since, least, why in (
        ((1, 36), (3, 6, 0), "needs etcd 3.6 or later"),
        ((1, 31), (3, 5, 11), "needs etcd 3.5.11 or later"),
        ((1, 20), (3, 4, 0), "needs etcd 3.4 or later"),
    ):
        if minor >= since and parts(etcd) < least:
            found.append(
                Incompatibility("etcd", f"etcd {etcd} is too old: {name} {why}", f"use {companions(minor).etcd}")
            )
            break
    if minor_of(etcd) > (3, 6):
        found.append(
            Incompatibility(
                "etcd", f"etcd {etcd} is newer than 3.6 and was not measured", f"use {companions(minor).etcd}"
            )
        )
    if (3, 5, 0) <= parts(etcd) <= (3, 5, 2):
        what = f"etcd {etcd} can corrupt its data (etcd CHANGELOG-3.5, 3.5.3)"
        found.append(Incompatibility("etcd", what, f"use {companions((1, 22)).etcd}"))
    if minor >= (1, 26) and minor_of(containerd) < (1, 6):
        what = f"containerd {containerd} is too old: {name} speaks only CRI v1, which containerd has since 1.6"
        found.append(Incompatibility("containerd", what, f"use {companions(minor).containerd}"))
    elif minor_of(containerd) < (1, 5):
        what = f"containerd {containerd} is too old: its configuration has no registry folder (certs.d)"
        found.append(Incompatibility("containerd", what, f"use {companions(minor).containerd}"))
    if minor >= (1, 36) and parts(containerd)[0] < 2:
        what = f"containerd {containerd} is too old: 1.35 was the last Kubernetes minor that supports containerd 1.x"
        found.append(Incompatibility("containerd", what, f"use {companions(minor).containerd}"))
    if minor < (1, 23) and parts(containerd)[0] >= 2:
        what = f"containerd {containerd} is too new: {name} speaks only CRI v1alpha2, which containerd 2.0 dropped"
        found.append(Incompatibility("containerd", what, f"use {companions(minor).containerd}"))
    if parts(containerd)[0] > 2:
        what = f"containerd {containerd} is newer than 2.x and was not measured"
        found.append(Incompatibility("containerd", what, f"use {companions(minor).containerd}"))
    return found
