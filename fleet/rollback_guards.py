"""What a rollback refuses before it touches anything, each with the reason and the way that leads on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fleet.generations import Slots
from fleet.inventory import Host, Phase
from fleet.items import SLOT
from fleet.state import HostState
from fleet.work import HostPlan
from generator.errors import RefusedError

STEPPED = frozenset(
    {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}
)
"""Components that go forward by a minor and never back: what a newer etcd or API server has written to its data, an
older one may not read (Kubernetes' version skew policy; etcd's notes on downgrading)."""

ENCRYPTION = "encryption/"
"""What the names of keys for encryption at rest begin with."""

_VERSION = re.compile(r"/opt/([^/]+)/v?(\d+)\.(\d+)[^/]*/[^/]+")


def refuse_other_minor(cluster: str, host: Host, state: HostState) -> None:
    """Refuse to turn a link of etcd or Kubernetes to a binary of another minor than the one it leads to now."""
    for item in host.items:
        facts = state.paths.get(item.path)
        now = _VERSION.fullmatch(facts.target) if facts is not None and item.kind == "link" else None
        then = _VERSION.fullmatch(item.target)
        if now is None or then is None or now.group(1) != then.group(1) or now.group(1) not in STEPPED:
            continue
        if now.group(2, 3) != then.group(2, 3):
            raise RefusedError(
                f"{cluster}/{host.name}: {now.group(1)} would go from {now.group(2)}.{now.group(3)} back to "
                f"{then.group(2)}.{then.group(3)}: an older minor may not read what the newer one has written to etcd; "
                "the way back over a minor leads through a restore of the backup made before it"
            )


def refuse_lost_encryption_key(cluster: str, host: Host, state: HostState, slots: Slots, present: Host) -> None:
    """Refuse to take a key for encryption at rest away with which the present generation writes.

    Objects that it has written would be unreadable. The first key of a text is the one that writes. `slots` is what the
    host knows of texts with secrets, `present` the host as it is rendered now, which may know more.
    """
    known = dict(slots)
    for item in present.items:
        if item.kind == "file" and item.secrets:
            named = dict.fromkeys(SLOT.findall(item.content.decode("utf-8", "replace")))
            known[item.key, item.content_id] = [(name, item.secrets[name]) for name in named]
    for key, record in sorted(state.owned.items()):
        then = host.by_key.get(key)
        if record.kind != "secret" or (then is not None and then.content_id == record.id):
            continue
        writer = next((one for one in known.get((key, record.id), ()) if one[0].startswith(ENCRYPTION)), None)
        if writer is None:
            continue
        kept = set(then.secrets.values()) if then is not None else set()
        if writer[1] not in kept:
            name, id_ = writer
            raise RefusedError(
                f"{cluster}/{host.name}: {key}: the present generation encrypts with the key {name} (id {id_}), which "
                "the previous one does not have: objects written since could not be read any more; keep this key, and "
                "take back what else is to go through git and `invoke apply`"
            )


def refuse_lost_guarded_unit(cluster: str, plan: HostPlan, phases: Sequence[Phase]) -> None:
    """Refuse to remove a unit of a phase that is guarded (etcd, control plane): that needs a verb of its own."""
    guarded = {phase.name for phase in phases if phase.before}
    units = [one.key.partition(":")[2] for one in plan.removals if one.kind == "unit" and one.phase in guarded]
    if units:
        raise RefusedError(
            f"{cluster}/{plan.host}: {', '.join(units)} came with the apply and would go: a member of etcd or of the "
            "control plane is not removed by a rollback; go forward through git and `invoke apply`"
        )


def refuse_lost_binary(cluster: str, plan: HostPlan) -> None:
    """Refuse where a binary of the previous generation is no longer what it was."""
    for work in plan.work.values():
        for change in work.changes:
            if change.kind == "binary":
                raise RefusedError(
                    f"{cluster}/{plan.host}: {change.key} of the previous generation is not there any more; revert the "
                    "commit and run `invoke apply`, which brings it"
                )


def refuse_lost_copies(cluster: str, lost: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Refuse where a host cannot give the previous content of a file; `lost` holds paths and reasons by host."""
    lines = [f"{cluster}/{host}: {path}: {reason}" for host, paths in sorted(lost.items()) for path, reason in paths]
    if lines:
        raise RefusedError(
            "\n".join(lines)
            + "\nso the previous generation cannot be put back as it was; revert the commit and run `invoke apply`"
        )
