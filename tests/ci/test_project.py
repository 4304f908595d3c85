"""A project file becomes a project: what an environment says goes before the top, and waivers end on their day."""

from __future__ import annotations

import dataclasses
import random
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.ci.project import Project, load_project, load_project_file, load_projects
from generator.ci.reference import PAGE, SCHEMA, reference_page, schema_text
from generator.ci.schema import ProjectSpec, json_schema
from generator.errors import SpecError, WorkspaceError
from generator.spec.reference import options
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN, data_of, faults_of, sample
from tests.spec.test_malformed import VALUES, elsewhere, lost, renamed, revalued, scrawled


def test_what_an_environment_says_goes_before_the_top() -> None:
    project = load_project(EVERYTHING)
    dev, prd = project.environment("dev"), project.environment("prd")
    assert project.environment_names == ("dev", "prd")
    assert (dev.namespace, prd.namespace) == ("shop-dev", "shop-prd")
    assert dev.env == {"EXTRA": "1", "LOG_LEVEL": "debug"}
    assert prd.env == {"GREETING": "hello $USER", "LOG_LEVEL": "info"}
    assert (dev.secrets, prd.secrets) == ((), ("hello-db",))
    assert dev.resources.requests == {"memory": "64Mi"}
    assert dev.resources.limits == {"memory": "512Mi"}
    assert prd.resources.requests == {"cpu": "0.5", "memory": "64Mi"}
    assert prd.resources.limits == {"cpu": "2", "memory": "1Gi"}
    assert (dev.scaling.maximum, dev.scaling.always) == (None, 1)
    assert (prd.scaling.minimum, prd.scaling.maximum, prd.scaling.cpu_percent) == (2, 6, 70)
    assert (prd.domain, prd.tls_secret, prd.ingress_class) == ("hello.example.net", "hello-tls", "nginx")


def test_what_nothing_is_said_of_has_a_default() -> None:
    project = load_project(PLAIN)
    assert (project.build_command, project.artifact) == (
        "CGO_ENABLED=0 go build -trimpath -tags timetzdata -o bin/hello .", "bin/hello",
    )  # fmt: skip
    assert project.run_command() == ("/app/hello",)
    assert project.run_command("/srv/hello/current") == ("/srv/hello/current/hello",)
    assert (project.health_kind, project.health_port) == ("tcp", 8080)
    assert project.environment("dev").namespace == "apps-dev"
    assert project.environment("dev").scaling.maximum is None
    assert project.environment("dev").resources.limits == {"memory": "256Mi"}
    assert sample(build={"command": "make", "artifact": "out/app"}).run_command() == ("/app/app",)


def test_autoscaling_begins_at_the_replicas() -> None:
    scaling = sample(scaling={"replicas": 3, "max": 9}).environment("dev").scaling
    assert (scaling.minimum, scaling.always) == (3, 3)
    assert sample(scaling={"replicas": 0, "max": 9}).environment("dev").scaling.minimum == 1


def test_virtual_machines_have_hosts_and_folders() -> None:
    project = load_project(MACHINES)
    assert project.is_vm and project.vm_directory == "/opt/hello"
    assert project.environment("prd").hosts == ("vm-1.example.net", "10.0.0.5", "fd00::5")
    assert sample(MACHINES, vm={}).vm_directory == "/srv/hello"


def test_an_environment_that_is_not_there_is_named() -> None:
    with pytest.raises(WorkspaceError, match=r"hello: has no environment 'pred'; did you mean prd\?"):
        load_project(PLAIN).environment("pred")
    with pytest.raises(WorkspaceError, match="there are: dev, prd"):
        load_project(PLAIN).environment("qa")


def test_a_project_cannot_be_changed() -> None:
    project = load_project(PLAIN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        project.file = "x"  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError):
        project.spec.run.port = 1  # type: ignore[misc]


def test_waivers_are_judged_by_the_day_that_is_given() -> None:
    text = PLAIN + 'waivers: [{id: CVE-2026-0001, until: "2026-12-31", reason: x}]\n'
    assert load_project(text).warnings == ()
    assert load_project(text, today=date(2026, 12, 16)).warnings == ()
    assert "ends in 14 days" in load_project(text, today=date(2026, 12, 17)).warnings[0]
    assert "ends today" in load_project(text, today=date(2026, 12, 31)).warnings[0]
    with pytest.raises(SpecError, match="ended on 2026-12-31, and today is 2027-01-01"):
        load_project(text, today=date(2027, 1, 1))


def test_a_top_value_that_is_wrong_everywhere_is_told_once() -> None:
    assert len(faults_of(scaling={"min": 5, "max": 3})) == 1
    assert len(faults_of(resources={"requests": {"memory": "1Gi"}})) == 1


def _workspace(root: Path, **texts: str) -> Path:
    folder = root / "clusters" / "prod" / "projects"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return root


def test_all_projects_of_a_cluster_are_read_with_all_their_faults(tmp_path: Path) -> None:
    other = PLAIN.replace("name: hello}", "name: other}")
    root = _workspace(tmp_path, hello=PLAIN, other=other, third=PLAIN + "x: 1\n", named=MACHINES)
    with pytest.raises(SpecError) as caught:
        load_projects(root, "prod")
    assert str(caught.value).splitlines() == [
        "clusters/prod/projects/named.yaml:4: metadata.name: the project is called hello, but its file named.yaml; "
        "give both the same name",
        "clusters/prod/projects/other.yaml:8: environments.dev.domain: hello.dev.example.net is also a domain of the "
        "project hello; give each its own",
        "clusters/prod/projects/other.yaml:9: environments.prd.domain: hello.example.net is also a domain of the "
        "project hello; give each its own",
        "clusters/prod/projects/third.yaml:10: x: is not a key here; known are: "
        + ", ".join(key for key in json_schema()["properties"]),
    ]


def test_projects_come_by_name(tmp_path: Path) -> None:
    root = _workspace(tmp_path, b=MACHINES.replace("name: hello}", "name: b}"), a=MACHINES.replace("hello}", "a}", 1))
    assert [project.name for project in load_projects(root, "prod")] == ["a", "b"]
    assert load_projects(tmp_path / "nowhere", "prod") == ()


def test_a_file_whose_name_ends_otherwise_is_not_passed_over(tmp_path: Path) -> None:
    folder = _workspace(tmp_path, hello=PLAIN) / "clusters" / "prod" / "projects"
    (folder / "other.yml").write_text(MACHINES)
    (folder / "Third.YAML").write_text("nonsense")
    with pytest.raises(SpecError) as caught:
        load_projects(tmp_path, "prod")
    first, second = str(caught.value).splitlines()
    assert first.startswith("clusters/prod/projects/Third.YAML:1: ")
    assert second == ("clusters/prod/projects/other.yml: is not read: names of project files end with .yaml; rename it")


def test_what_editors_leave_is_no_project(tmp_path: Path) -> None:
    folder = _workspace(tmp_path, hello=PLAIN) / "clusters" / "prod" / "projects"
    (folder / ".#hello.yaml").symlink_to("somebody@somewhere.1")
    for name in ("._hello.yaml", ".hello.yaml.swp", "hello.yaml~", "README.md"):
        (folder / name).write_text("\0")
    assert [project.name for project in load_projects(tmp_path, "prod")] == ["hello"]


def test_a_file_that_is_not_there_is_one_clean_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: cannot be read: No such file or directory; name another file"):
        load_project_file(tmp_path / "none.yaml")


def test_page_and_schema_are_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run make docs"
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "run make docs"


def test_every_option_has_one_line_of_meaning() -> None:
    for option in options(ProjectSpec):
        assert option.meaning.endswith(".") and "\n" not in option.meaning, option


@pytest.mark.parametrize("text", [PLAIN, EVERYTHING, MACHINES])
def test_the_json_schema_takes_what_loads(text: str) -> None:
    load_project(text)
    jsonschema.validate(data_of(text), json_schema())


def test_the_json_schema_refuses_an_unknown_key() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data_of(PLAIN), "gti": {}}, json_schema())


def _clean(text: str) -> Project | None:
    """Load a text; a fault says where, what and what to do."""
    try:
        return load_project(text, today=date(2026, 11, 20))
    except SpecError as error:
        assert error.faults
        for fault in error.faults:
            assert fault.file and fault.what and fault.todo
        assert "Traceback" not in str(error) and "object at 0x" not in str(error)
        return None


def _damaged(rng: random.Random) -> str:
    spec: dict[str, Any] = data_of(rng.choice((PLAIN, EVERYTHING, MACHINES)))
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice((revalued, revalued, lost, renamed, elsewhere))(spec, rng)
    text = yaml.dump(spec, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return scrawled(text, rng) if rng.random() < 0.2 else text


def test_a_damaged_project_is_a_clean_error_or_a_project() -> None:
    assert VALUES
    seen = {"refused": 0, "loaded": 0}

    @given(st.randoms(use_true_random=True))
    @settings(max_examples=1500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def each(rng: random.Random) -> None:
        project = _clean(_damaged(rng))
        if project is None:
            seen["refused"] += 1
            return
        seen["loaded"] += 1
        for name in project.environment_names:
            assert project.environment(name).name == name

    each()
    assert seen["refused"] > 300 and seen["loaded"] > 50, seen


@given(st.text())
@settings(max_examples=300, deadline=None, database=None)
def test_any_text_is_a_clean_error(text: str) -> None:
    assert _clean(text) is None


@given(st.permutations(list(data_of(EVERYTHING))))
@settings(max_examples=20, deadline=None, database=None)
def test_the_order_of_keys_changes_nothing(order: list[str]) -> None:
    blocks = {key: text for text in _blocks(EVERYTHING) if (key := text.partition(":")[0])}
    assert blocks.keys() == set(order)
    shuffled = load_project("".join(blocks[key] for key in order))
    whole = load_project(EVERYTHING)
    for name in whole.environment_names:
        assert shuffled.environment(name) == whole.environment(name)
    assert shuffled == dataclasses.replace(whole, spec=shuffled.spec)
    assert shuffled.spec == whole.spec


def _blocks(text: str) -> list[str]:
    """Return the top keys of a file with what belongs to each."""
    found: list[str] = []
    for line in text.strip("\n").splitlines(keepends=True):
        if line[0] in " -":
            found[-1] += line
        else:
            found.append(line)
    return [block if block.endswith("\n") else f"{block}\n" for block in found]
