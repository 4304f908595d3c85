"""Values with which the chart is tried: as few as can be, and one of each."""

from __future__ import annotations

import copy
from typing import Any

SMALL: dict[str, Any] = {"image": {"repository": "registry.example.net/hello", "tag": "1"}}
FULL: dict[str, Any] = {
    **SMALL,
    "autoscaling": {"enabled": True, "min": 3, "max": 9, "cpuPercent": 60},
    "resources": {"requests": {"cpu": 0.5, "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
    "config": {"a.conf": "one\ntwo\n", "b": "{{ .Values }} $HOME"},
    "ingress": {
        "enabled": True,
        "host": "hello.example.net",
        "className": "nginx",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "8m"},
        "tls": {"secretName": "hello-tls"},
    },
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]},
    "podAnnotations": {"prometheus.io/scrape": "true"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "team", "operator": "Equal", "value": "shop", "effect": "NoSchedule"}],
}
"""What the project file does not say, an overlay of a project's own does."""


def changed(base: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """Return values with one of them replaced."""
    made: dict[str, Any] = copy.deepcopy(base)
    place = made
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = to
    return made
