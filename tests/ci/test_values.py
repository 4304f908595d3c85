"""Values are what the project file says for one environment, in the keys of the chart."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.ci.project import load_project
from generator.ci.values import image_of, values, values_text
from generator.errors import RefusedError, WorkspaceError
from tests.ci.helm import template
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN, sample
from tests.golden.ci_cases import CONTAINER_CASES

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


@pytest.mark.parametrize("case", CONTAINER_CASES, ids=lambda case: case.name)
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


_ODD = (
    "", "y", "Y", "n", "No", "on", "true", "~", "null", "1e3", "12e03", "1.e3", "1E-5", "+.5e3", "08", "0o17", "0O17",
    "0x1F", "0X1F", "0b1", "0B1", "1_000", "1_0e3", ".5", "1.", "+1", "-.Inf", ".nan", "1:30", "190:20:30",
    "2001-01-01", "2001-1-2", "2001-12-14t21:59:43.10-05:00", "=", "<<", "- ", "? a", "!x", "&a", "*a", "%a", "@a",
    "`", "|", ">", "#", "a #b", "a: b", " lead", "trail ", "a\n", "\n", "\n\n a\n", "  a\nb\n", "a\n\n\n", "\ta",
    "a\tb", "---", "...", "[", "}", "'a", '"', "a\\nb", "\u00a0x", "\u2028", "a\u2029", "\u200b", "\ufeff", "\x85",
    "a\x85b", "é😀", "{{ .Values }}", "$(A)",
)  # fmt: skip


def test_texts_arrive_in_helm_word_for_word(tmp_path: Path) -> None:
    """Its parser of YAML takes other words for numbers and truth values than that of Python."""
    rng = random.Random(20261122)
    signs = "00123456789xXoObBeE+-._:yYnN~ \n#'\"[]{}|>&*!%@,?\\\x85\u2028"
    texts = [*_ODD, *("".join(rng.choices(signs, k=rng.randint(1, 6))) for _ in range(3000))]
    env = {f"V{number}": text for number, text in enumerate(texts)}
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: echo\nversion: 1.0.0\n")
    (tmp_path / "templates" / "env.yaml").write_text("env: {{ .Values.env | toJson | b64enc }}\n")
    text = template(tmp_path, "echo", values_text(sample(run={"env": env}), "dev"), "1.36")
    arrived = json.loads(base64.b64decode(yaml.safe_load(text)["env"]))
    assert {key: (text, arrived.get(key)) for key, text in env.items() if arrived.get(key) != text} == {}
