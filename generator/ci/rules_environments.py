"""Rules about what environments say: domains, how many run, and what each of them gets."""

from __future__ import annotations

from generator.ci.environment import resources_in, scaling_in
from generator.ci.found import Found
from generator.ci.scalars import quantity
from generator.ci.schema import ENVIRONMENTS, EnvironmentSection, ProjectSpec
from generator.spec.yaml_source import Path


def check_environments(spec: ProjectSpec, found: Found) -> None:
    """Check every environment of a project."""
    domains: dict[str, str] = {}
    for name in ENVIRONMENTS:
        section = spec.environments.get(name)
        if section is None:
            continue
        if section.domain is not None:
            other = domains.setdefault(section.domain, name)
            if other != name:
                at: Path = ("environments", name, "domain")
                found.fault(at, f"{section.domain} is also the domain of {other}", "give each environment its own")
        if spec.deploy == "container":
            _scaling(spec, section, name, found)
            _resources(spec, section, name, found)


def _scaling(spec: ProjectSpec, section: EnvironmentSection, name: str, found: Found) -> None:
    scaling = scaling_in(spec, section)
    if scaling.maximum is None:
        at = _written_at(found, name, ("scaling", "min"))
        bounds = section.scaling.min or spec.scaling.min
        if bounds is not None and found.stands(at) and "max" not in section.scaling.model_fields_set:
            found.fault_once("min", at, "bounds autoscaling, which only max turns on", "add max, or take it out")
        if name == "prd" and scaling.replicas == 1:
            at = _written_at(found, name, ("scaling", "replicas"))
            found.warn(at, "leaves prd with one pod, which is gone while its node is", "use 2 or more")
        return
    if scaling.minimum > scaling.maximum:
        own = ("min", "max", "replicas")
        key = next((one for one in own if found.stands(("environments", name, "scaling", one))), None)
        at = ("environments", name, "scaling", key) if key else _written_at(found, name, ("scaling", "max"))
        what = f"autoscaling in {name} would be from {scaling.minimum} to {scaling.maximum}"
        found.fault_once("bounds", at, what, "make min (replicas unless said) no more than max")
    if "cpu" not in resources_in(spec, section).requests:
        at = _written_at(found, name, ("resources", "requests", "cpu"))
        found.fault_once(
            "share", at, f"is null, and autoscaling in {name} counts in shares of it", "reserve some, like 100m"
        )


def _resources(spec: ProjectSpec, section: EnvironmentSection, name: str, found: Found) -> None:
    resources = resources_in(spec, section)
    for key in ("cpu", "memory"):
        request, limit = resources.requests.get(key), resources.limits.get(key)
        if request is None or limit is None or quantity(request) <= quantity(limit):
            continue
        places: tuple[Path, ...] = (
            ("environments", name, "resources", "requests", key), ("environments", name, "resources", "limits", key),
            ("resources", "requests", key), ("resources", "limits", key),
        )  # fmt: skip
        at = next((place for place in places if found.stands(place)), ("resources",))
        found.fault_once(
            "limit",
            at,
            f"{key} in {name}: {request} is requested and {limit} is the limit",
            "request no more than that",
        )


def _written_at(found: Found, environment: str, key: Path) -> Path:
    here: Path = ("environments", environment, *key)
    return here if found.stands(here) else key
