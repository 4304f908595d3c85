"""The objects of a small cluster with some changes, for what is asked of an addon beside its goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.pki.request_material import RequestMaterial
from generator.render.objects import objects
from tests.spec.samples import loaded


def made(**changes: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every object by kind and name; `changes` replace sections of the spec."""
    cluster = loaded(**changes)
    sets = objects(cluster, RequestMaterial(cluster), Path("/nowhere"))
    return {(one["kind"], one["metadata"]["name"]): dict(one) for members in sets.values() for one in members}
