"""The verbs as a user meets them: how a cluster is found, what --list and --help say, exit codes and messages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from generator.errors import WorkspaceError
from generator.sealing import create_identity
from tests.fleet.test_json_documents import schema
from tests.verbs.arguments import arguments_of
from verbs import namespace
from verbs.workspace import place_of, workspace_root

ROOT = Path(__file__).parents[2]


def invoke(workspace: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("invoke")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    return subprocess.run(
        [str(program), "--search-root", str(ROOT), *words],
        cwd=workspace,
        env={**clean, "HOME": str(workspace.parent), "SLIPWAY_ROOT": str(workspace), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("verbs")
    root = base / "workspace"
    (root / "clusters").mkdir(parents=True)
    create_identity(base / ".config" / "slipway" / "identity")
    assert invoke(root, "new", "--name", "first", "--no-input").returncode == 0
    assert invoke(root, "render").returncode == 0
    return root


def test_every_verb_explains_itself_with_an_example() -> None:
    names = sorted(namespace.task_names)
    assert {"render", "plan", "push", "apply", "certs.issue", "hosts.scan", "lab.up", "new", "kubeconfig"} <= set(names)
    for name in names:
        task = namespace[name]
        text = task.__doc__ or ""
        assert f"Example: invoke {name}" in text, name
        documented = {name.replace("-", "_") for name in task.help}
        parameters = {argument.name for argument in arguments_of(task) if argument.name}
        assert documented == parameters, name


def test_the_only_cluster_is_meant_where_none_is_named(tmp_path: Path) -> None:
    environment = {"SLIPWAY_ROOT": str(tmp_path)}

    def start(name: str) -> None:
        (tmp_path / "clusters" / name).mkdir()
        (tmp_path / "clusters" / name / "cluster.yaml").touch()

    (tmp_path / "clusters").mkdir()
    with pytest.raises(WorkspaceError, match="no cluster in"):
        place_of(None, environment)
    start("one")
    assert place_of(None, environment).cluster == "one"
    start("two")
    with pytest.raises(WorkspaceError, match=r"several clusters \(one, two\)"):
        place_of(None, environment)
    assert place_of(None, {**environment, "SLIPWAY_CLUSTER": "two"}).cluster == "two"
    assert place_of("one", {**environment, "SLIPWAY_CLUSTER": "two"}).cluster == "one"
    with pytest.raises(WorkspaceError, match=r"no cluster three .*there are: one, two"):
        place_of("three", environment)


def test_the_workspace_is_the_nearest_folder_upward(tmp_path: Path) -> None:
    below = tmp_path / "clusters" / "one" / "files"
    below.mkdir(parents=True)
    assert workspace_root(below, {}) == tmp_path
    with pytest.raises(WorkspaceError, match="holds no clusters/"):
        workspace_root(below, {"SLIPWAY_ROOT": str(below)})


def test_rendering_twice_changes_nothing(workspace: Path) -> None:
    again = invoke(workspace, "render")
    assert again.returncode == 0
    assert "nothing changed" in again.stdout
    assert invoke(workspace, "render", "--check").returncode == 0


def test_a_tree_edited_by_hand_stops_every_verb_that_acts(workspace: Path) -> None:
    edited = workspace / "rendered" / "first" / "inventory.yaml"
    text = edited.read_text()
    edited.write_text(text + "# by hand\n")
    try:
        for words in (("render", "--check"), ("plan",), ("push",), ("apply",)):
            done = invoke(workspace, *words)
            assert done.returncode == 1, words
            assert "~ inventory.yaml" in done.stderr
            assert "run `invoke render --cluster first`" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        edited.write_text(text)


def test_a_spec_with_faults_is_one_clean_error(workspace: Path, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(workspace, root)
    spec = root / "clusters" / "first" / "cluster.yaml"
    spec.write_text(spec.read_text().replace("kind: Cluster", "kind: Cluster\nnetwrok: {}"))
    for verb in ("validate", "render"):
        done = invoke(root, verb)
        assert done.returncode == 1
        assert "netwrok" in done.stderr and "network" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


def test_a_missing_identity_says_what_to_do_and_writes_nothing(workspace: Path, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(workspace, root)
    before = sorted(path for path in root.rglob("*"))
    (root / "clusters" / "first" / "pki" / "hosts" / "cp1" / "apiserver.crt").unlink()
    done = invoke(root, "render", HOME=str(tmp_path / "nobody"))
    assert done.returncode == 1
    assert "no identity" in done.stderr
    assert len(sorted(path for path in root.rglob("*"))) == len(before) - 1


def test_a_plan_for_hosts_that_cannot_be_entered_is_a_message_with_their_names(workspace: Path) -> None:
    done = invoke(workspace, "plan")
    assert done.returncode == 1
    assert "first/" in done.stderr
    assert "Traceback" not in done.stderr


def test_certificates_are_listed_and_the_exit_code_tells_of_the_end(workspace: Path) -> None:
    listed = invoke(workspace, "certs.list", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    jsonschema.validate(rows, schema("certs.list"))
    assert "hosts/cp1/apiserver" in {row["name"] for row in rows}
    spec = workspace / "clusters" / "first" / "cluster.yaml"
    text = spec.read_text()
    try:
        spec.write_text(f"{text}\npki: {{validity: {{leaf: 3y}}, warnBefore: 2y}}\n")
        near = invoke(workspace, "certs.list")
    finally:
        spec.write_text(text)
    assert near.returncode == 2, near.stderr
    assert "clusters/first/pki/hosts/cp1/apiserver.crt: 364 days left" in near.stderr


def test_lists_for_programs_are_as_described(workspace: Path) -> None:
    listed = invoke(workspace, "secrets.list", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    jsonschema.validate(rows, schema("secrets.list"))
    assert any(row["places"] for row in rows)
    renewals = json.loads(
        invoke(workspace, "certs.renew", "--kind", "apiserver", "--host", "cp1", "--dry-run", "--json").stdout
    )
    jsonschema.validate(renewals, schema("certs.renew"))
    assert [(one["name"], one["until"]) for one in renewals] == [("hosts/cp1/apiserver", None)]


def test_a_table_for_other_programs_has_every_word_and_one_line_for_each_row(workspace: Path) -> None:
    lines = invoke(workspace, "certs.list", COLUMNS="40").stdout.splitlines()
    (row,) = [line for line in lines if line.startswith("hosts/cp1/apiserver ")]
    assert "DNS:kubernetes.default.svc.cluster.local" in row
    assert "clusters/first/pki/hosts/cp1/apiserver.crt" in row
    assert "cp1:/etc/kubernetes/pki/apiserver.crt" in row


def test_a_second_new_of_one_name_is_refused_and_leaves_the_first(workspace: Path) -> None:
    spec = (workspace / "clusters" / "first" / "cluster.yaml").read_text()
    done = invoke(workspace, "new", "--name", "first", "--no-input")
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert (workspace / "clusters" / "first" / "cluster.yaml").read_text() == spec


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("network_plugin=cilium", "'cilium' is no choice; write calico or flannel or bridge or none"),
        ("pod_cdir=10.1.0.0/16", "there is no such question; there are api_endpoint, "),
        ("pod_cidr", "no value; write KEY=VALUE"),
    ],
)
def test_new_refuses_an_answer_that_nobody_asked_for(workspace: Path, answer: str, text: str) -> None:
    done = invoke(workspace, "new", "--name", "second", "--no-input", "--set", answer)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workspace / "clusters" / "second").exists()


def test_new_refuses_a_bad_name_and_leaves_nothing(workspace: Path) -> None:
    done = invoke(workspace, "new", "--name", "Bad_Name", "--no-input")
    assert done.returncode == 1
    assert not (workspace / "clusters" / "Bad_Name").exists()
    assert "Traceback" not in done.stderr


def test_a_cluster_that_cannot_get_a_recipient_is_not_begun(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    (root / "clusters").mkdir(parents=True)
    done = invoke(root, "new", "--name", "first", "--no-input", SLIPWAY_IDENTITY=str(tmp_path / "nowhere"))
    assert done.returncode == 1 and "it does not exist; correct the path" in done.stderr
    assert "age-keygen -o" in done.stderr
    assert not list((root / "clusters").iterdir()) and not (root / "tasks.py").exists()


def test_the_first_new_of_a_workspace_leaves_nothing_where_it_fails(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    for name, environment in (("first", {"SLIPWAY_IDENTITY": str(tmp_path / "nowhere")}), ("Bad_Name", {})):
        assert invoke(root, "new", "--name", name, "--no-input", **environment).returncode == 1
        assert not list(root.iterdir())


def test_a_root_that_is_named_becomes_a_workspace_and_no_other_folder(tmp_path: Path) -> None:
    here, named = tmp_path / "here", tmp_path / "named"
    (here / "clusters").mkdir(parents=True)
    done = invoke(here, "new", "--name", "first", "--no-input", SLIPWAY_ROOT=str(named))
    assert done.returncode == 0, done.stderr
    assert (named / "clusters" / "first" / "cluster.yaml").is_file() and (named / "tasks.py").is_file()
    assert not list((here / "clusters").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{ values+:: { traefik+: { hostPorts: { http: 22 } } } }",
            "addons.traefik.hostPorts: is set in cluster.yaml (at",
        ),
        ("{ '20-x': { a: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 5 } } } }", "20-x.a is no API object; it"),
    ],
)
def test_validate_tells_the_faults_of_addons_jsonnet(workspace: Path, text: str, message: str) -> None:
    own = workspace / "clusters" / "first" / "addons.jsonnet"
    before = own.read_text() if own.exists() else None
    own.write_text(text)
    try:
        done = invoke(workspace, "validate", SLIPWAY_IDENTITY="/nowhere")
    finally:
        own.unlink() if before is None else own.write_text(before)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert invoke(workspace, "validate", SLIPWAY_IDENTITY="/nowhere").returncode == 0


def test_a_certificate_of_no_time_is_refused(workspace: Path) -> None:
    done = invoke(workspace, "kubeconfig", "--hours", "-1")
    assert done.returncode == 1 and done.stderr.startswith("error: --hours -1:")
