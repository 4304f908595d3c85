"""Specs from which tests start."""

from typing import Any

import yaml

from generator.errors import SpecError
from generator.spec import load_text
from generator.spec.model import Cluster


def spec(**changes: Any) -> dict[str, Any]:
    """Return a small cluster as plain data; `changes` replace its top-level keys."""
    return {
        "apiVersion": "slipway.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "prod"},
        "versions": {"kubernetes": "1.36.1"},
        "pools": {"control": {"roles": ["etcd", "control-plane"]}, "workers": {"roles": ["worker"]}},
        "hosts": {
            "cp1": {"pool": "control", "address": "10.0.0.1"},
            "w1": {"pool": "workers", "address": "10.0.0.11"},
        },
        **changes,
    }


def loaded(**changes: Any) -> Cluster:
    return load_text(yaml.safe_dump(spec(**changes), sort_keys=False), name="prod")


def faults_of(**changes: Any) -> str:
    """Return the message of a spec with faults, an empty text where it has none."""
    try:
        loaded(**changes)
    except SpecError as error:
        return str(error)
    return ""
