"""The schemas of the API by which objects are judged: those of kubernetes-validate, of two of its releases.

The newest holds no minor below 1.25; an older one, whose archive `make setup` fetches, holds 1.20 to 1.24.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import referencing
import referencing.jsonschema

OLD_MINORS = tuple(f"1.{number}" for number in range(20, 25))
_LATEST = int(kubernetes_validate.latest_version().split(".")[1])
EVERY_MINOR = (*OLD_MINORS, *(f"1.{number}" for number in range(25, _LATEST + 1)))
"""Every minor by whose schemas an object can be judged, without a gap."""


def check(member: Mapping[str, Any], minor: str) -> None:
    """Raise where an object does not fit the strict schema of its kind in a minor, or the minor has no such kind."""
    if minor not in OLD_MINORS:
        kubernetes_validate.validate(member, minor, strict=True)
        return
    api_version = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", member["apiVersion"])
    name = f"{member['kind'].lower()}-{api_version}.json"
    files = _files(minor)
    if name not in files:
        raise kubernetes_validate.SchemaNotFoundError(member["kind"], minor, member["apiVersion"])
    jsonschema.Draft7Validator(files[name], registry=_registry(minor)).validate(member)


@cache
def _registry(minor: str) -> Any:
    resources = (
        (name, referencing.Resource.from_contents(content, referencing.jsonschema.DRAFT7))
        for name, content in _files(minor).items()
        if name.startswith("_")
    )
    return referencing.Registry().with_resources(resources)


@cache
def _files(minor: str) -> Mapping[str, dict[str, Any]]:
    """Return the schemas of a minor by the name of their file."""
    archives = sorted((Path(sys.prefix) / "schemas").glob("kubernetes*validate-*.tar.gz"))
    assert archives, "the schemas of old minors are not there; run `make setup`"
    found = {}
    with tarfile.open(archives[-1]) as archive:
        for entry in archive:
            if f"/v{minor}.0-local-strict/" in entry.name and entry.isfile():
                content = archive.extractfile(entry)
                assert content is not None
                found[entry.name.rpartition("/")[2]] = json.load(content)
    assert found, f"{archives[-1].name} has no schemas of {minor}; run `make setup`"
    return found
