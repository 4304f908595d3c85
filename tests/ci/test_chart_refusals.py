"""The real helm refuses values that the chart cannot mean, and says where they are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ci.chart_values import SMALL, changed
from tests.ci.helm import helm
from tests.golden.chart_cases import APP


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("replica",), 2),
        (("replicas",), "2"),
        (("replicas",), -1),
        (("replicas",), 1.5),
        (("image",), "hello:1"),
        (("image", "name"), "hello"),
        (("image", "repository"), "registry.example.net/Hello"),
        (("image", "tag"), "latest"),
        (("image", "tag"), 1.2),
        (("image", "digest"), "sha256:12"),
        (("user",), 0),
        (("user",), "10001"),
        (("command",), "run me"),
        (("writable",), ["/"]),
        (("writable",), ["tmp"]),
        (("writable",), ["/tmp", "/tmp"]),
        (("env",), {"PORT": 8080}),
        (("env",), {"A B": "x"}),
        (("envFrom",), ["hello-db"]),
        (("envFrom", "secrets"), ["Hello"]),
        (("config",), {"a/b": "x"}),
        (("config",), {"a": {"b": "x"}}),
        (("health", "kind"), "grpc"),
        (("health", "path"), "healthz"),
        (("health", "port"), 65536),
        (("health", "periodSeconds"), 0),
        (("resources", "request"), {}),
        (("resources", "requests"), {"cpu": "lots"}),
        (("service", "port"), 0),
        (("service", "targetPort"), "http"),
        (("ingress", "host"), "https://hello.example.net"),
        (("ingress", "tls"), "hello-tls"),
        (("ingress", "enabled"), "yes"),
        (("autoscaling", "min"), 0),
        (("networkPolicy", "from"), [{"ip": "10.0.0.0/8"}]),
        (("networkPolicy", "from"), [{}]),
        (("podDisruptionBudget",), True),
        (("serviceAccount", "name"), "x"),
        (("pullSecrets",), [{"name": "x"}]),
        (("podAnnotations",), {"a": True}),
        (("tolerations",), [{"key": "a", "operator": "In"}]),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_wrong_value_is_refused_and_named(path: tuple[str, ...], value: Any) -> None:
    done = helm("template", "hello", str(APP), values=changed(SMALL, *path, to=value))
    assert done.returncode != 0
    assert "don't meet the specifications of the schema" in done.stderr
    assert path[-1] in done.stderr or path[0] in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "hello: image.repository is empty; write the registry and name of the image"),
        ({}, "hello: image has neither tag nor digest; write the tag of the build, or the digest of the push"),
        ({"ingress": {"enabled": True}}, "hello: ingress.host is empty; "),
        ({"autoscaling": {"enabled": True, "min": 5}}, "hello: autoscaling.min is greater than autoscaling.max; "),
        ({"autoscaling": {"enabled": True}}, "hello: autoscaling.cpuPercent is a share of resources.requests.cpu, "),
        ({"health": {"kind": "exec"}}, "hello: health.command is empty; "),
        ({"writable": ["/config"], "config": {"a": "b"}}, "hello: writable names /config, "),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(given: dict[str, Any], said: str) -> None:
    done = helm("template", "hello", str(APP), values=given)
    assert done.returncode != 0 and said in done.stderr.replace("\\n", "\n")


def test_a_release_whose_name_no_service_can_have_is_refused() -> None:
    for release in ("1hello", "hello.world"):
        done = helm("template", release, str(APP), values=SMALL)
        assert done.returncode != 0 and "a Service cannot have the release's name; use small letters" in done.stderr
