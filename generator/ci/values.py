"""The values of the chart for one environment of a project: what its file says, resolved, and nothing else.

Keys are those of the values.yaml of addons/charts/app. Image and pull secrets are known only to who calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from generator.ci.environment import Environment
from generator.ci.project import Project
from generator.ci.scalars import image_parts
from generator.errors import RefusedError
from generator.formats.yaml_text import yaml_text

SERVICE_PORT = 80
"""The port of every Service; behind it is run.port."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was pushed: registry and path, tag, and digest as sha256:…; both last may be empty."""

    repository: str
    tag: str = ""
    digest: str = ""


def image_of(text: str) -> Image:
    """Return the parts of an image's name; raises RefusedError for what is none, or has neither tag nor digest."""
    parts = image_parts(text)
    if parts is None:
        raise RefusedError(
            f"{text!r} is no image; write REGISTRY/NAME:TAG, with @sha256:… behind it where the push told the digest"
        )
    return Image(*parts)


def values(
    project: Project, environment: str, image: Image | None = None, pull_secrets: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the values of one environment.

    Without `image` the project's name stands in place of the repository. Raises RefusedError for a project that runs on
    virtual machines, WorkspaceError for an environment that it does not have.
    """
    if project.is_vm:
        raise RefusedError(
            f"{project.name}: runs on virtual machines, and values are for the chart; use deploy: container"
        )
    here = project.environment(environment)
    spec = project.spec
    pushed = image or Image(project.name)
    own_image = spec.docker.file is not None
    return {
        "image": {"repository": pushed.repository, "tag": pushed.tag, "digest": pushed.digest},
        "pullSecrets": list(pull_secrets),
        "replicas": here.scaling.replicas,
        "autoscaling": _autoscaling(here),
        # The image that we make knows its command; of one of the project's own only the project does.
        "command": list(spec.run.command or []) if own_image else [],
        "user": spec.run.user,
        "writable": list(spec.run.writable),
        "env": dict(here.env),
        "envFrom": {"secrets": list(here.secrets)},
        "config": {},
        "health": _health(project),
        "resources": {"requests": dict(here.resources.requests), "limits": dict(here.resources.limits)},
        "service": {"port": SERVICE_PORT, "targetPort": spec.run.port},
        "ingress": {
            "enabled": here.domain is not None,
            "className": here.ingress_class or "",
            "host": here.domain or "",
            "tls": {"secretName": here.tls_secret or ""},
        },
        "networkPolicy": {"enabled": True, "from": []},
        # A budget for a single pod would only keep its node from being drained.
        "podDisruptionBudget": {"enabled": here.scaling.always > 1},
        "serviceAccount": {"create": True},
    }


def values_text(
    project: Project, environment: str, image: Image | None = None, pull_secrets: Sequence[str] = ()
) -> str:
    """Return the values of one environment as YAML; raises what `values` raises."""
    found = values(project, environment, image, pull_secrets)
    head = f"# Made from the project file of {project.name} by `invoke ci.values` for {environment}.\n"
    return head + yaml_text(found, sort=False)


def _autoscaling(here: Environment) -> dict[str, Any]:
    scaling = here.scaling
    fixed = max(1, scaling.replicas)
    return {
        "enabled": scaling.maximum is not None,
        "min": fixed if scaling.maximum is None else scaling.minimum,
        "max": fixed if scaling.maximum is None else scaling.maximum,
        "cpuPercent": scaling.cpu_percent,
    }


def _health(project: Project) -> dict[str, Any]:
    health = project.spec.health
    asked: dict[str, Any]
    match project.health_kind:
        case "http":
            asked = {"kind": "http", "path": health.path, "port": project.health_port}
        case "exec":
            asked = {"kind": "exec", "command": list(health.command or [])}
        case _:
            asked = {"kind": "tcp", "port": project.health_port}
    return {
        **asked,
        "initialDelaySeconds": health.initial_delay_seconds,
        "periodSeconds": health.period_seconds,
        "timeoutSeconds": health.timeout_seconds,
    }
