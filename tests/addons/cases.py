"""What the tests of all addons go through: every golden case, in every minor that it is for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate

from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_objects, content, set_name

NEWEST = max(
    (path.name[1:].split(".0")[0] for path in Path(kubernetes_validate.__file__).parent.glob("*/v1.*-local")),
    key=lambda text: [int(part) for part in text.split(".")],
)
NEWEST_RENDERED = "1.36"
MINORS = ("1.20", "1.25", "1.30", NEWEST_RENDERED, NEWEST)


def in_minors() -> list[tuple[AddonCase, str]]:
    """Return each case with each minor that it is for: its own where it names one, else all from `since`."""
    found: list[tuple[AddonCase, str]] = []
    for case in ADDON_CASES:
        own = content(case).get("patch", {}).get("versions", {}).get("kubernetes")
        since = content(case).get("since", "1.20")
        minors = [".".join(own.split(".")[:2])] if own else [one for one in MINORS if _number(one) >= _number(since)]
        found.extend((case, minor) for minor in minors)
    return found


@cache
def members(case: AddonCase, minor: str = "") -> tuple[Mapping[str, Any], ...]:
    """Return the objects of a case's own set, as of a minor where one is named."""
    own = content(case).get("patch", {}).get("versions", {}).get("kubernetes")
    known = min(minor, NEWEST_RENDERED, key=_number)  # what is newer than the flag tables is judged as a newer schema
    sets = case_objects(case, "" if own or not minor else f"{known}.0")
    # As YAML and JSON have them: what is shared within jsonnet's answer is not shared here.
    found: list[Mapping[str, Any]] = json.loads(json.dumps(sets[set_name(case)]))
    return tuple(found)


def pod_specs(case: AddonCase, minor: str = "") -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each object that makes pods with the spec of its pods."""
    for member in members(case, minor):
        spec = member.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        if member["kind"] in {"Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob"}:
            yield member, template["spec"]


def containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the containers of a pod, those that run first included."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def _number(minor: str) -> list[int]:
    return [int(part) for part in minor.split(".") if part]
