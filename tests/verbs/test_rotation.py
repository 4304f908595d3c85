"""The verbs of a rotation as an operator meets them: where it stands, what comes next, what is refused and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from fleet.token_life import Left
from generator.sealing import create_identity
from tests.fleet.test_json_documents import schema
from tests.verbs.test_verbs import invoke
from verbs.rotation_steps import token_reasons

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
VERBS = ("secrets.encryption", "secrets.service-account")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "clusters").mkdir(parents=True)
    create_identity(tmp_path / ".config" / "slipway" / "identity")
    assert invoke(root, "new", "--name", "first", "--no-input").returncode == 0
    assert invoke(root, "render").returncode == 0
    return root


@pytest.mark.parametrize("verb", VERBS)
def test_a_rotation_begins_and_waits_for_the_hosts(workspace: Path, verb: str) -> None:
    shown = invoke(workspace, verb)
    assert shown.returncode == 0 and f"invoke {verb} --cluster first --next" in shown.stdout
    assert invoke(workspace, verb, "--next", "--dry-run").returncode == 2
    assert invoke(workspace, verb).stdout == shown.stdout, "a dry run changes nothing"
    ready = json.loads(invoke(workspace, verb, "--next", "--dry-run", "--json").stdout)
    jsonschema.validate(ready, schema("rotation"))
    assert ready["step"] == "steady"
    begun = invoke(workspace, verb, "--next")
    assert begun.returncode == 0 and "now: invoke render, review and commit, invoke apply" in begun.stdout
    assert "2 of 4" in begun.stdout
    assert invoke(workspace, verb).returncode == 2, "a rotation under way is something found"
    stale = invoke(workspace, verb, "--next")
    assert stale.returncode == 1 and "rendered/first is not what clusters/first gives" in stale.stderr
    assert invoke(workspace, "render").returncode == 0
    state = json.loads(invoke(workspace, verb, "--json").stdout)
    jsonschema.validate(state, schema("rotation"))
    assert state["step"] == "added" and state["next"]["command"] == f"invoke {verb} --cluster first --next"


def test_an_edited_state_is_one_clean_error(workspace: Path) -> None:
    assert invoke(workspace, "secrets.encryption", "--next").returncode == 0
    path = workspace / "clusters/first/secrets/encryption.yaml"
    path.write_text(path.read_text().replace("writer: encryption/1", "writer: encryption/2"))
    for words in (("secrets.encryption",), ("render",), ("render", "--check")):
        done = invoke(workspace, *words)
        assert done.returncode == 1 and "clusters/first/secrets/encryption.yaml: it was edited by hand" in done.stderr


def left(secrets: tuple[str, ...] = (), pods: tuple[str, ...] = (), hours: float = -1) -> Left:
    return Left(secrets, pods, NOW + timedelta(days=1), NOW + timedelta(hours=hours))


def test_old_tokens_are_told_with_what_to_do() -> None:
    assert token_reasons(left(), NOW) == []
    [reason] = token_reasons(left(secrets=tuple(f"app/s{n}" for n in range(7))), NOW)
    assert reason.startswith("7 Secrets hold tokens that never end: app/s0, app/s1, app/s2, app/s3, app/s4 and 2 more;")
    assert "kubectl -n NAMESPACE patch secret NAME" in reason
    [reason] = token_reasons(left(pods=("app/web",)), NOW)
    assert "1 pods are older than the switch" in reason and "2030-05-18T12:00:00Z: app/web" in reason
    assert token_reasons(left(pods=("app/web",)), NOW + timedelta(days=2)) == []
    [reason] = token_reasons(left(hours=1), NOW)
    assert "kubectl create token) hold until 2030-05-17T13:00:00Z; wait" in reason
