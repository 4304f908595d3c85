"""A restore as people read it, before they agree to it."""

from __future__ import annotations

from fleet.restore_choice import Restore


def restore_lines(found: Restore, cluster: str) -> list[str]:
    """Return in words what a restore would do."""
    members, snapshot = found.members, found.snapshot
    names = ", ".join(host.name for host in members.hosts)
    control = ", ".join(host.name for host in found.control)
    if found.proved:
        return [f"{cluster}: this restore has come to its end; what it kept on {names} is taken away"]
    size = len(snapshot.content)
    lines = [f"{cluster}: restore {snapshot.name}, {size} bytes, sha256 {snapshot.digest}"]
    if snapshot.revision:
        lines.append(f"  made of {snapshot.cluster} at {snapshot.time}, revision {snapshot.revision}")
    if snapshot.cluster and snapshot.cluster != cluster:
        lines.append(
            f"  it is of another cluster, {snapshot.cluster}, whose encryption keys must be those of {cluster}"
        )
    lines += [
        f"  this snapshot was restored before, as {run}: what was written since is gone then" for run in found.before
    ]
    going_on = {name: step for name, step in found.steps.items() if step}
    if going_on:
        words = ", ".join(f"{name} {step}" for name, step in going_on.items())
        lines.append(f"  goes on with a restore that was cut off: {words}")
    lines += [
        f"  1. {names}: prove the snapshot, restore it beside the data in {members.data}",
        f"  2. {control}: stop {', '.join(found.units)}; {names}: stop {members.unit}",
        f"  3. {names}: rename old data to {members.data}/.before-restore-{found.run}, restored data to its place",
        f"  4. {names}: start {members.unit} together, wait for the quorum",
        f"  5. {control}: start {', '.join(found.units)}, wait until each is ready",
        "  What was written since the snapshot is gone. Kubelets and pods run on, save what the API forgot.",
    ]
    return lines
