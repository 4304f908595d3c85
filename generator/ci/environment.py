"""One environment of a project: what it says itself laid over what the top of the project file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.ci.schema import EnvironmentName, EnvironmentSection, ProjectSpec


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container gets in one environment, as Kubernetes writes it; a key that is not there is not limited."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many run in one environment. `maximum` None: nothing scales them, and `replicas` run."""

    replicas: int
    minimum: int
    maximum: int | None
    cpu_percent: int

    @property
    def always(self) -> int:
        """How many run at the least."""
        return self.replicas if self.maximum is None else self.minimum


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment of a project with everything resolved: what it says itself, else what the top says."""

    name: EnvironmentName
    namespace: str
    domain: str | None
    tls_secret: str | None
    ingress_class: str | None
    scaling: Scaling
    resources: Resources
    env: Mapping[str, str]
    secrets: tuple[str, ...]
    hosts: tuple[str, ...]


def resolved(spec: ProjectSpec, name: EnvironmentName) -> Environment:
    """Return an environment that the project has."""
    section = spec.environments[name]
    merged: dict[str, str | None] = {**spec.run.env, **section.env}
    secrets = spec.run.secrets if section.secrets is None else section.secrets
    return Environment(
        name=name,
        namespace=f"{spec.namespace or 'apps'}-{name}",
        domain=section.domain,
        tls_secret=section.tls.secret if section.tls else None,
        ingress_class=section.ingress_class,
        scaling=scaling_in(spec, section),
        resources=resources_in(spec, section),
        env={key: value for key, value in sorted(merged.items()) if value is not None},
        secrets=tuple(secrets),
        hosts=tuple(section.hosts),
    )


def scaling_in(spec: ProjectSpec, section: EnvironmentSection) -> Scaling:
    """Return how many run in an environment."""
    said = _said(section.scaling)
    replicas = said.get("replicas", None)
    minimum = said.get("min", spec.scaling.min)
    of_all = spec.scaling.replicas if replicas is None else replicas
    percent = said.get("cpu_percent", None)
    return Scaling(
        replicas=of_all,
        minimum=max(1, of_all) if minimum is None else minimum,
        maximum=said.get("max", spec.scaling.max),
        cpu_percent=spec.scaling.cpu_percent if percent is None else percent,
    )


def resources_in(spec: ProjectSpec, section: EnvironmentSection) -> Resources:
    """Return what a container gets in an environment."""
    return Resources(
        requests=_amounts(_said(spec.resources.requests, everything=True), _said(section.resources.requests)),
        limits=_amounts(_said(spec.resources.limits, everything=True), _said(section.resources.limits)),
    )


def _amounts(top: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in {**top, **here}.items() if value is not None}


def _said(section: Any, *, everything: bool = False) -> dict[str, Any]:
    """Return what a section says by the names of its fields, with `everything` its defaults too."""
    found: dict[str, Any] = section.model_dump(exclude_unset=not everything)
    return found
