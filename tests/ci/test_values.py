"""Values are what the project file says for one environment, in the keys of the chart."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.ci.project import load_project
from generator.ci.values import image_of, values, values_text
from generator.errors import RefusedError, WorkspaceError
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN, sample
from tests.golden.ci_cases import PROJECT_CASES

KEYS = {
    "": {
        "image", "pullSecrets", "replicas", "autoscaling", "command", "user", "writable", "env", "envFrom", "config",
        "health", "resources", "service", "ingress", "networkPolicy", "podDisruptionBudget", "serviceAccount",
    },
    "image": {"repository", "tag", "digest"},
    "autoscaling": {"enabled", "min", "max", "cpuPercent"},
    "envFrom": {"secrets"},
    "service": {"port", "targetPort"},
    "ingress": {"enabled", "className", "host", "tls"},
    "resources": {"requests", "limits"},
}  # fmt: skip


@pytest.mark.parametrize("case", PROJECT_CASES, ids=lambda case: case.name)
def test_every_environment_has_the_same_keys(case: Any) -> None:
    project = case.project()
    for name in project.environment_names:
        found = values(project, name)
        assert found.keys() == KEYS[""]
        for section, keys in KEYS.items():
            assert not section or found[section].keys() == keys
        assert yaml.safe_load(values_text(project, name)) == found


def test_an_environment_gives_its_own_values() -> None:
    project = load_project(EVERYTHING)
    dev, prd = values(project, "dev"), values(project, "prd")
    assert (dev["replicas"], dev["autoscaling"]["enabled"]) == (1, False)
    assert prd["autoscaling"] == {"enabled": True, "min": 2, "max": 6, "cpuPercent": 70}
    assert (dev["podDisruptionBudget"], prd["podDisruptionBudget"]) == ({"enabled": False}, {"enabled": True})
    assert prd["ingress"]["tls"] == {"secretName": "hello-tls"}
    assert prd["health"]["port"] == 9001 and prd["service"] == {"port": 80, "targetPort": 9000}
    assert dev["resources"] == {"requests": {"memory": "64Mi"}, "limits": {"memory": "512Mi"}}


def test_a_budget_never_holds_a_single_pod() -> None:
    one = sample(scaling={"replicas": 1})
    assert not values(one, "dev")["podDisruptionBudget"]["enabled"]
    few = sample(scaling={"replicas": 2, "min": 1, "max": 4})
    assert not values(few, "dev")["podDisruptionBudget"]["enabled"]


def test_an_image_of_ours_knows_its_command_and_one_of_the_project_does_not() -> None:
    assert values(sample(run={"command": ["/app/x"]}), "dev")["command"] == []
    own = sample(run={"command": ["/app/x"]}, docker={"file": "Dockerfile"})
    assert values(own, "dev")["command"] == ["/app/x"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("registry.example.net:5000/shop/hello:0123-7", ("registry.example.net:5000/shop/hello", "0123-7", "")),
        ("localhost/hello:1", ("localhost/hello", "1", "")),
        (f"r.example.net/a@sha256:{'a' * 64}", ("r.example.net/a", "", f"sha256:{'a' * 64}")),
        (f"r.example.net/a:1@sha256:{'a' * 64}", ("r.example.net/a", "1", f"sha256:{'a' * 64}")),
    ],
)
def test_an_image_has_parts(text: str, parts: tuple[str, str, str]) -> None:
    image = image_of(text)
    assert (image.repository, image.tag, image.digest) == parts


@pytest.mark.parametrize(
    "text", ["hello", "r.example.net/a", "r.example.net/a:latest", "r.example.net/a@sha256:1", "a b/c:1"]
)
def test_what_is_no_fixed_image_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="is no image; write REGISTRY/NAME:TAG"):
        image_of(text)


def test_machines_and_unknown_environments_have_no_values() -> None:
    with pytest.raises(RefusedError, match="runs on virtual machines, and values are for the chart"):
        values(load_project(MACHINES), "prd")
    with pytest.raises(WorkspaceError, match="has no environment 'qa'"):
        values(load_project(PLAIN), "qa")


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True),
                       st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40), max_size=5))  # fmt: skip
@settings(max_examples=200, deadline=None, database=None)
def test_texts_of_the_environment_arrive_as_they_are(env: dict[str, str]) -> None:
    project = sample(run={"env": env})
    assert yaml.safe_load(values_text(project, "dev"))["env"] == env
