"""The verb that prints what a host of a project on virtual machines has once for all: unit, and rights."""

from __future__ import annotations

from invoke.context import Context

from generator.ci import machines
from verbs import console
from verbs.ci_project import PROJECT, settled
from verbs.rendering import WHICH
from verbs.verb import verb


@verb(
    name="unit",
    help={
        "project": PROJECT,
        "env": "which environment",
        "sudoers": "print what the project's user may do as root on a host, in place of the unit",
        "unit-is-fixed": "with --sudoers: without the right to change the unit, which somebody else puts there",
        "cluster": WHICH,
    },
)
def unit(
    context: Context,
    project: str,
    env: str,
    sudoers: bool = False,
    unit_is_fixed: bool = False,
    cluster: str | None = None,
) -> None:
    """Print the systemd unit of a project on virtual machines, or the sudoers file that a release of it needs there.

    Example: invoke ci.unit --project hello --env prd --sudoers
    """
    found, _ = settled(project, cluster)
    files = machines.machine_files(found, env)
    console.raw(machines.sudoers(found, unit_is_fixed=unit_is_fixed) if sudoers else files.unit)
