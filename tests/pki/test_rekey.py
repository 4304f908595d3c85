"""Sealing anew: nothing but the sealing changes, all or nothing, and what is said about recipients."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import PkiError, RefusedError, SealingError
from generator.pki.checking import check_keys
from generator.pki.credentials import seal_credentials, seal_value, wanted_secret
from generator.pki.rekey import RekeyReport, rekey, sealed_files
from generator.pki.sealed import sealed_secrets
from generator.sealing import create_identity, load_identity, sealed_path, unseal_file
from generator.sealing.stanzas import stanzas
from tests.pki.conftest import Workspace
from tests.pki.test_issue import Killed, kill_after

REGISTRY = {"runtime": {"registries": [{"host": "registry.example.net:5000", "credentials": True}]}}


def recipients(workspace: Workspace, *lines: str) -> None:
    (workspace.dir / "recipients.txt").write_text("".join(f"{line}\n" for line in lines))


def own(workspace: Workspace) -> str:
    return (workspace.dir / "recipients.txt").read_text().splitlines()[1]


def values(workspace: Workspace) -> dict[str, bytes]:
    identity = workspace.identity()
    return {path.as_posix(): unseal_file(path, identity) for path in sealed_files(workspace.dir)}


def ssh_key() -> str:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def sealed_anew(workspace: Workspace) -> RekeyReport:
    return rekey(workspace.dir, identity=workspace.identity)


def test_only_sealed_files_change_and_the_new_recipient_opens_them(workspace: Workspace) -> None:
    workspace.issue()
    before, held = workspace.files(), values(workspace)
    second = workspace.root / "home" / "second"
    recipients(workspace, own(workspace), create_identity(second))
    report = sealed_anew(workspace)
    after = workspace.files()
    changed = {path for path, content in after.items() if content != before[path]} - {"recipients.txt"}
    assert changed == {path for path in before if path.endswith(".age")}
    assert len(report.files) == len(changed) == 3 + 10 + 1 + 1 + 1
    assert (report.recipients, report.added, report.removed) == (2, ("one age key (a header does not say which)",), ())
    assert values(workspace) == held
    other = load_identity({"SLIPWAY_IDENTITY": str(second)})
    assert unseal_file(workspace.store.key_path("ca"), other) == held[workspace.store.key_path("ca").as_posix()]
    assert not workspace.issue().changed
    check_keys(workspace.cluster, workspace.dir, other)


def test_whatever_lies_sealed_is_taken_along(workspace: Workspace) -> None:
    cluster = workspace.edit(REGISTRY)
    workspace.issue()
    secret = wanted_secret(cluster, "registry/registry.example.net:5000")
    seal_credentials(cluster, workspace.dir, secret, "robot", "pass word")
    assert "clusters/prod/secrets/registry/registry.example.net_5000.age" in sealed_anew(workspace).files


def test_a_dry_run_opens_all_and_writes_nothing(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    assert len(rekey(workspace.dir, identity=workspace.identity, dry_run=True).files) == 16
    assert (workspace.files(), workspace.asked) == (before, 1)


def test_ssh_recipients_are_named(workspace: Workspace) -> None:
    first, second, mine = ssh_key(), ssh_key(), own(workspace)
    recipients(workspace, mine, first)
    workspace.issue()
    recipients(workspace, mine, f"{second} bob")
    report = sealed_anew(workspace)
    assert report.added == (f"{second} bob",)
    (gone,) = report.removed
    assert gone.startswith("an ssh-ed25519 key with the tag ")
    assert sealed_anew(workspace).added == sealed_anew(workspace).removed == ()


def test_git_tells_which_age_key_came_and_left(workspace: Workspace) -> None:
    mine, bob, eve = own(workspace), *(create_identity(workspace.root / "home" / name) for name in ("bob", "eve"))
    recipients(workspace, f"# the team\n{mine}", eve)
    workspace.issue()
    git(workspace, "init", "-q")
    commit(workspace)
    recipients(workspace, mine, bob)
    commit(workspace)
    report = sealed_anew(workspace)
    assert (report.added, report.removed) == ((bob,), (eve,))
    commit(workspace)
    assert sealed_anew(workspace).added == ()


def git(workspace: Workspace, *words: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
    subprocess.run(command, cwd=workspace.root, check=True, capture_output=True)


def commit(workspace: Workspace) -> None:
    git(workspace, "add", "clusters")
    git(workspace, "commit", "-q", "-m", "x")


def test_nobody_shuts_himself_out_unasked(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    recipients(workspace, create_identity(workspace.root / "home" / "other"))
    before["recipients.txt"] = (workspace.dir / "recipients.txt").read_bytes()
    with pytest.raises(RefusedError, match="is not among the recipients, so you would shut yourself out"):
        sealed_anew(workspace)
    assert workspace.files() == before
    rekey(workspace.dir, identity=workspace.identity, agree=lambda question: "open nothing" in question)
    with pytest.raises(SealingError, match="not among its recipients"):
        values(workspace)


def test_what_does_not_open_or_match_stops_all(workspace: Workspace) -> None:
    workspace.issue()
    server, peer = (workspace.store.key_path(f"hosts/cp-1/etcd/{name}") for name in ("server", "peer"))
    kept = server.read_bytes()
    server.write_bytes(peer.read_bytes())
    before = workspace.files()
    with pytest.raises(PkiError, match=r"server\.key\.age: the key does not match .*server\.crt; restore both"):
        sealed_anew(workspace)
    server.write_bytes(kept)
    for path in (server, peer):
        path.write_text(path.read_text().replace("A", "B"))
    with pytest.raises(SealingError) as raised:
        sealed_anew(workspace)
    assert len(str(raised.value).splitlines()) == 2
    assert {path for path, content in workspace.files().items() if content != before[path]} == {
        "pki/hosts/cp-1/etcd/server.key.age",
        "pki/hosts/cp-1/etcd/peer.key.age",
    }


@settings(max_examples=20)
@given(steps=st.integers(0, 18))
def test_a_killed_rekey_leaves_whole_files_and_is_finished_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, steps: int
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("killed"))
    workspace.dir.mkdir(parents=True)
    mine = create_identity(workspace.identity_file)
    recipients(workspace, mine)
    workspace.edit({})
    workspace.issue()
    held = values(workspace)
    recipients(workspace, mine, create_identity(workspace.root / "home" / "second"))
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        kill_after(patch, steps)
        sealed_anew(workspace)
    (workspace.dir / "pki" / ".ca.key.age.slipway").write_text("left by a kill")
    (workspace.dir / "pki" / ".gone.crt.slipway").write_text("left by a kill")
    assert values(workspace) == held
    sealed_anew(workspace)
    assert values(workspace) == held
    assert {len(stanzas(path.read_text())) for path in sealed_files(workspace.dir)} == {2}
    assert not list(workspace.dir.rglob(".*"))


def test_the_list_names_id_file_and_number_of_recipients(workspace: Workspace) -> None:
    recipients(workspace, own(workspace), ssh_key())
    workspace.issue()
    rows = {row.name: row for row in sealed_secrets(workspace.dir)}
    assert rows["pki/sa"].id == workspace.store.key_id("sa")
    assert rows["encryption/1"].id == workspace.store.index()["encryption/1"]
    assert rows["pki/hosts/cp-1/apiserver"].file == "clusters/prod/pki/hosts/cp-1/apiserver.key.age"
    assert {row.recipients for row in rows.values()} == {2}


# --- registry credentials -------------------------------------------------------------------------------------------


def test_credentials_are_sealed_under_a_new_id_each_time(workspace: Workspace) -> None:
    cluster = workspace.edit(REGISTRY)
    workspace.issue()
    secret = wanted_secret(cluster, "registry/registry.example.net:5000")
    first = seal_credentials(cluster, workspace.dir, secret, "robot", "ü\"\\ '")
    value = unseal_file(sealed_path(workspace.dir, secret), workspace.identity())
    assert base64.b64decode(value).decode() == "robot:ü\"\\ '"
    second = seal_credentials(cluster, workspace.dir, secret, "robot", "other")
    assert first != second == workspace.store.secret_id(secret)
    assert not workspace.issue().changed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("encryption/1", "is not set by hand"),
        ("pki/sa", "is not set by hand"),
        ("registry/quay.io", r"no node would use registry/quay\.io; .*registry/registry\.example\.net_5000"),
    ],
)
def test_other_secrets_are_refused(workspace: Workspace, name: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        wanted_secret(workspace.edit(REGISTRY), name)


def test_values_for_addons_are_sealed_as_they_are_given(workspace: Workspace) -> None:
    cluster = workspace.edit(REGISTRY)
    workspace.issue()
    secret = wanted_secret(cluster, "addons/etcd-backup-s3")
    given = "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=ü\n"
    first = seal_value(cluster, workspace.dir, secret, given)
    assert unseal_file(sealed_path(workspace.dir, secret), workspace.identity()).decode() == given
    assert first != seal_value(cluster, workspace.dir, secret, "other") == workspace.store.secret_id(secret)
    assert not workspace.issue().changed
    for name in ("addons/", "addons/../x", "addons/A", "addons/a/b"):
        with pytest.raises(RefusedError, match="is no name of a secret"):
            wanted_secret(cluster, name)
    for value in (" \n", "x" * 70000, "a\0b"):
        with pytest.raises(RefusedError, match="the value is empty, too long, or no text"):
            seal_value(cluster, workspace.dir, secret, value)


@pytest.mark.parametrize(("user", "password"), [("", "x"), ("a:b", "x"), ("a", ""), ("a", "x\ny"), ("a\t", "x")])
def test_what_is_no_user_or_password_is_refused_and_not_shown(workspace: Workspace, user: str, password: str) -> None:
    cluster = workspace.edit(REGISTRY)
    with pytest.raises(RefusedError) as raised:
        seal_credentials(cluster, workspace.dir, "registry/registry.example.net_5000", user, password)
    assert not password.strip() or len(password) < 2 or password not in str(raised.value)


@pytest.mark.parametrize("steps", range(6))
def test_a_kill_never_leaves_a_new_value_under_an_old_id(workspace: Workspace, steps: int) -> None:
    cluster = workspace.edit(REGISTRY)
    workspace.issue()
    secret = "registry/registry.example.net_5000"
    first = seal_credentials(cluster, workspace.dir, secret, "robot", "one")
    path = sealed_path(workspace.dir, secret)
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        kill_after(patch, steps)
        seal_credentials(cluster, workspace.dir, secret, "robot", "two")
    index = workspace.store.index()
    assert index.get(secret) != first or path.read_bytes() == before
    assert index["encryption/1"]
    seal_credentials(cluster, workspace.dir, secret, "robot", "two")
    assert not workspace.issue().changed


def test_no_password_lies_in_a_file(workspace: Workspace) -> None:
    cluster = workspace.edit(REGISTRY)
    seal_credentials(cluster, workspace.dir, "registry/registry.example.net_5000", "robot", "sesame-street")
    for path in Path(workspace.root).rglob("*"):
        assert not path.is_file() or b"sesame" not in path.read_bytes(), path
    assert os.stat(sealed_path(workspace.dir, "registry/registry.example.net_5000")).st_size > 0
