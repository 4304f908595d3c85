"""Versions in cluster.yaml without quotes, numbers to YAML: what is said of them, and what is read instead."""

from __future__ import annotations

import copy
import re
from typing import Any

from generator.errors import Fault
from generator.spec.yaml_source import Document, Path


def faults_of_unquoted(document: Document) -> list[Fault]:
    """Return a fault for each version that stands without quotes."""
    faults: list[Fault] = []
    for path in _numbers_for_versions(document):
        written, read = document.raw[path], document.data["versions"][path[-1]]
        what = f"{written} without quotes is a number to YAML, {read}, and not a version"
        todo = f'write major, minor and patch in quotes, like "{_whole_version(written)}"'
        faults.append(document.fault(path, what, todo))
    return faults


def without_unquoted(document: Document) -> Any:
    """Return the data without versions that are numbers, whose own fault says all; Kubernetes gets the one meant."""
    data = copy.deepcopy(document.data)
    for path in _numbers_for_versions(document):
        if path[-1] == "kubernetes":
            data["versions"]["kubernetes"] = _whole_version(document.raw[path])
        else:
            del data["versions"][path[-1]]
    return data


def _numbers_for_versions(document: Document) -> list[Path]:
    versions = document.data.get("versions") if isinstance(document.data, dict) else None
    if not isinstance(versions, dict):
        return []
    return [("versions", key) for key, value in versions.items() if type(value) in {int, float}]


def _whole_version(written: str) -> str:
    whole = f"{written}.0" if "." in written else f"{written}.0.0"
    return whole if re.fullmatch(r"[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}", whole) else "1.36.0"
