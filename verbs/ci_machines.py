"""The verb that releases a project to virtual machines."""

from __future__ import annotations

import asyncio
from json import dumps
from pathlib import Path

from invoke.context import Context

from fleet.machines import Machines
from fleet.releases import WITHIN, Target, deploy
from generator.ci.machines import machine_files
from generator.ci.project import Project
from generator.errors import RefusedError, WorkspaceError
from verbs import console
from verbs.ci_project import AS_JSON, PROJECT, settled
from verbs.rendering import WHICH
from verbs.verb import verb


def target_of(project: Project, environment: str) -> Target:
    """Return what is released to; raises RefusedError for a project that runs in containers."""
    files = machine_files(project, environment)
    spec = project.spec
    health: tuple[str, ...]
    match project.health_kind:
        case "http":
            health = ("http", str(project.health_port), str(spec.health.path))
        case "exec":
            health = ("exec", *(spec.health.command or ()))
        case _:
            health = ("tcp", str(project.health_port))
    return Target(
        hosts=project.environment(environment).hosts,
        directory=project.vm_directory,
        unit=files.unit_name,
        keep=spec.vm.keep,
        health=health,
        delay=spec.health.initial_delay_seconds,
        timeout=spec.health.timeout_seconds,
        files={files.unit_name: files.unit, "env": files.env},
    )


@verb(
    name="deploy",
    help={
        "project": PROJECT,
        "env": "which environment",
        "artifact": "the file that was built, or the folder whose content is meant",
        "release": "name of the release; else the beginning of its digest",
        "key": "file with the private SSH key; else those of the agent",
        "known-hosts": "file with the keys of the hosts; else known_hosts beside the project's cluster.yaml",
        "ssh-port": "port of the hosts' sshd, 22 by default",
        "within": f"seconds in which a release gets well, {WITHIN} by default",
        "cluster": WHICH,
        "json": AS_JSON,
    },
)
def deploy_(
    context: Context,
    project: str,
    env: str,
    artifact: str,
    release: str | None = None,
    key: str | None = None,
    known_hosts: str | None = None,
    ssh_port: int = 22,
    within: int = WITHIN,
    cluster: str | None = None,
    json: bool = False,
) -> int:
    """Release to virtual machines, one after the other; one that does not get well goes back, and none comes after it.

    Example: invoke ci.deploy --project hello --env prd --artifact bin/hello --key ~/.ssh/deploy
    """
    found, place = settled(project, cluster)
    if within < 1:
        raise RefusedError(f"--within {within}: give a number of seconds, 1 or more")
    if known_hosts is None and place is None:
        raise WorkspaceError("no --known-hosts, and no cluster whose file would do; name the file with the hosts' keys")
    known = Path(known_hosts).expanduser() if known_hosts else place.inputs / "known_hosts"  # type: ignore[union-attr]
    machines = Machines(found.name, known, Path(key).expanduser() if key else None, ssh_port)
    user = found.spec.vm.user
    target = target_of(found, env)
    made, outcomes = asyncio.run(
        deploy(
            target, Path(artifact).expanduser(), lambda host: machines.enter(host, user), release=release,
            within=within, told=console.tell,
        )
    )  # fmt: skip
    for one in outcomes:
        for line in one.journal:
            console.tell(f"{one.host}:   {line}")
        if one.state == "untouched":
            console.tell(one.line(made.id))
    if json:
        hosts = [{"host": one.host, "state": one.state, "why": one.why} for one in outcomes]
        document = {
            "project": found.name,
            "environment": env,
            "release": made.id,
            "digest": made.digest,
            "hosts": hosts,
        }
        console.raw(dumps(document, indent=2) + "\n")
    return 0 if all(one.good for one in outcomes) else 1
