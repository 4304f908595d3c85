"""Each step of a rotation as inputs and as a tree: what it changes, and that a render refuses to skip one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from generator.errors import PkiError, RefusedError, RenderError
from generator.pki.rotation import ENCRYPTION, SERVICE_ACCOUNT, Place, add_key, drop_keys, promote_key, settle
from generator.pki.rotation_state import Kind, Rotation, read_state, state_text
from generator.spec import load
from tests.render.workspace import Workspace

CONFIG = "components/kube-apiserver/rootfs/etc/kubernetes/encryption.yaml"
SERVER = "components/kube-apiserver/rootfs/etc/systemd/system/kube-apiserver.service"
MANAGER = "components/kube-controller-manager/rootfs/etc/systemd/system/kube-controller-manager.service"
PKI = "components/trust@control/rootfs/etc/kubernetes/pki"
FACTS = {"time": "2030-05-17T12:30:00Z"}
KINDS = (ENCRYPTION, SERVICE_ACCOUNT)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace(tmp_path)
    space.render()
    return space


def place(space: Workspace) -> Place:
    return Place(load(space.root, "prod"), space.inputs)


def to_step(space: Workspace, kind: Kind, count: int) -> Rotation:
    """Make the first steps of a rotation, each with its render."""
    makers: list[Callable[[], Rotation]] = [
        lambda: add_key(place(space), kind),
        lambda: promote_key(place(space), kind),
        lambda: settle(place(space), kind, FACTS),
        lambda: drop_keys(place(space), kind),
    ]
    state = place(space).rotation(kind)
    for maker in makers[:count]:
        state = maker()
        space.render()
    return state


def changed(space: Workspace, act: Callable[[], object]) -> list[str]:
    act()
    return space.render().changes.lines()


def keys_in(space: Workspace) -> dict[str, list[str]]:
    [rule] = yaml.safe_load((space.rendered / CONFIG).read_text())["resources"]
    return {
        name: [key["name"] for key in body["keys"]] for one in rule["providers"] for name, body in one.items() if body
    }


def test_a_cluster_that_never_rotated_has_no_state_file(workspace: Workspace) -> None:
    assert read_state(workspace.inputs, ENCRYPTION) is None and read_state(workspace.inputs, SERVICE_ACCOUNT) is None
    assert place(workspace).rotation(ENCRYPTION) == Rotation(ENCRYPTION, "encryption/1")
    assert place(workspace).rotation(SERVICE_ACCOUNT) == Rotation(SERVICE_ACCOUNT, "sa")


def test_each_step_of_the_encryption_key_changes_the_one_file(workspace: Workspace) -> None:
    file, manifest = f"~ {CONFIG}", "~ components/kube-apiserver/manifest.yaml"
    assert changed(workspace, lambda: add_key(place(workspace), ENCRYPTION)) == [manifest, file]
    assert keys_in(workspace) == {name: ["1", "2"] for name in ("secretbox", "aescbc", "aesgcm")}
    assert changed(workspace, lambda: promote_key(place(workspace), ENCRYPTION)) == [file]
    assert keys_in(workspace)["secretbox"] == ["2", "1"]
    assert changed(workspace, lambda: settle(place(workspace), ENCRYPTION, FACTS)) == []
    assert changed(workspace, lambda: drop_keys(place(workspace), ENCRYPTION)) == [manifest, file]
    assert keys_in(workspace)["secretbox"] == ["2"]
    assert (workspace.inputs / "secrets/encryption/1.age").is_file(), "a backup of etcd may need it"
    state = place(workspace).rotation(ENCRYPTION)
    assert (state.step, state.lead, state.retired) == ("steady", "encryption/2", ("encryption/1",))


def test_each_step_of_the_service_account_key_moves_no_file(workspace: Workspace) -> None:
    page, trust = "~ pki.yaml", "~ components/trust@control/manifest.yaml"
    assert changed(workspace, lambda: add_key(place(workspace), SERVICE_ACCOUNT)) == [
        f"~ {SERVER}", trust, f"+ {PKI}/sa-2.pub", page,
    ]  # fmt: skip
    assert flag_lines(workspace, SERVER, "service-account-key-file") == ["sa.pub", "sa-2.pub"]
    assert flag_lines(workspace, SERVER, "service-account-signing-key-file") == ["sa.key"]
    assert changed(workspace, lambda: promote_key(place(workspace), SERVICE_ACCOUNT)) == [
        f"~ {SERVER}", f"~ {MANAGER}", trust, page,
    ]  # fmt: skip
    assert flag_lines(workspace, SERVER, "service-account-key-file") == ["sa.pub", "sa-2.pub"]
    assert flag_lines(workspace, SERVER, "service-account-signing-key-file") == ["sa-2.key"]
    assert flag_lines(workspace, MANAGER, "service-account-private-key-file") == ["sa-2.key"]
    assert changed(workspace, lambda: settle(place(workspace), SERVICE_ACCOUNT, FACTS)) == []
    assert changed(workspace, lambda: drop_keys(place(workspace), SERVICE_ACCOUNT)) == [
        f"~ {SERVER}", trust, f"- {PKI}/sa.pub", page,
    ]  # fmt: skip
    assert flag_lines(workspace, SERVER, "service-account-key-file") == ["sa-2.pub"]


def flag_lines(space: Workspace, unit: str, flag: str) -> list[str]:
    lines = (space.rendered / unit).read_text().splitlines()
    return [line.strip().removesuffix(" \\").rpartition("/")[2] for line in lines if f"--{flag}=" in line]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
def test_two_rotations_end_with_the_third_key(workspace: Workspace, kind: Kind) -> None:
    to_step(workspace, kind, 4)
    state = to_step(workspace, kind, 4)
    assert state.known[0].endswith("3") and len(state.known) == 1 and len(state.retired) == 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
@pytest.mark.parametrize("step", range(5))
def test_a_tree_that_was_removed_comes_back_byte_for_byte(workspace: Workspace, kind: Kind, step: int) -> None:
    to_step(workspace, kind, step)
    before = workspace.tree()
    shutil.rmtree(workspace.rendered)
    workspace.render()
    assert workspace.tree() == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
@pytest.mark.parametrize("step", range(4))
def test_only_the_next_step_is_made(workspace: Workspace, kind: Kind, step: int) -> None:
    to_step(workspace, kind, step)
    before = workspace.tree()
    others = [
        one for number, one in enumerate((add_key, promote_key, None, drop_keys)) if one is not None and number != step
    ]
    for other in others:
        with pytest.raises(RefusedError, match=rf"not yet, or no more, time .*run `invoke {kind.verb} --cluster prod`"):
            other(place(workspace), kind)
    if step < 2:
        with pytest.raises(RefusedError, match="nothing to record"):
            settle(place(workspace), kind, FACTS)
    workspace.render()
    assert workspace.tree() == before


# --- what a render refuses ------------------------------------------------------------------------------------------


def write_state(space: Workspace, state: Rotation) -> None:
    (space.inputs / state.kind.file).write_text(state_text(state))


def refused(space: Workspace, match: str) -> None:
    """A refused render leaves the tree as it was."""
    before = space.tree()
    with pytest.raises(RenderError, match=match):
        space.render()
    assert space.tree() == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
def test_a_key_that_nobody_knows_yet_must_not_lead(workspace: Workspace, kind: Kind) -> None:
    add_key(place(workspace), kind)  # and no render between
    promote_key(place(workspace), kind)
    refused(workspace, rf"2 would be the {kind.lead}, and API servers do not know it yet as one of the {kind.others}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
def test_the_key_that_leads_must_not_be_dropped(workspace: Workspace, kind: Kind) -> None:
    state = to_step(workspace, kind, 1)
    promote_key(place(workspace), kind)  # and no render between
    settle(place(workspace), kind, FACTS)
    drop_keys(place(workspace), kind)
    refused(workspace, rf"{state.lead} would be dropped, and it is the {kind.lead}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
def test_a_key_must_not_be_dropped_before_it_is_recorded_that_nothing_needs_it(
    workspace: Workspace, kind: Kind
) -> None:
    state = to_step(workspace, kind, 2)
    write_state(workspace, Rotation(kind, state.lead, (), None, state.others))
    refused(workspace, rf"{state.others[0]} would be dropped, and nothing is recorded as {kind.settled}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
def test_a_record_about_another_key_drops_nothing(workspace: Workspace, kind: Kind) -> None:
    state = to_step(workspace, kind, 2)
    for wrong in ({kind.lead: state.others[0], "id": "0" * 16}, {kind.lead: state.lead, "id": "0" * 16}):
        write_state(workspace, Rotation(kind, state.lead, (), wrong, state.others))
        refused(workspace, rf"nothing is recorded as {kind.settled}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
def test_going_back_by_one_step_is_no_skipped_step(workspace: Workspace, kind: Kind) -> None:
    added = to_step(workspace, kind, 1)
    tree = workspace.tree()
    promote_key(place(workspace), kind)
    workspace.render()
    write_state(workspace, added)
    workspace.render()
    assert workspace.tree() == tree


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lead)
@pytest.mark.parametrize("step", range(1, 5))
def test_a_state_that_was_edited_is_refused_with_and_without_a_tree(
    workspace: Workspace, kind: Kind, step: int
) -> None:
    to_step(workspace, kind, step)
    path = workspace.inputs / kind.file
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    for number in range(1, len(lines)):  # the first is a comment
        path.write_text("".join(lines[:number] + lines[number + 1 :]))
        with pytest.raises(PkiError, match=rf"^clusters/prod/{kind.file}: .*restore it from git"):
            place(workspace).rotation(kind)
    shutil.rmtree(workspace.rendered)
    path.write_text(whole.replace("2", "3"))
    with pytest.raises(PkiError, match=r"edited by hand|is in use and"):
        workspace.render()
    path.write_text(whole)
    workspace.render()


def test_a_second_key_and_no_state_is_refused(workspace: Workspace) -> None:
    shutil.copy(workspace.inputs / "secrets/encryption/1.age", workspace.inputs / "secrets/encryption/2.age")
    with pytest.raises(
        PkiError, match=r"encryption\.yaml: the file is missing, and only it says which of encryption/1, "
    ):
        workspace.render()


def test_a_key_that_left_the_index_is_refused(workspace: Workspace) -> None:
    to_step(workspace, ENCRYPTION, 1)
    index = workspace.inputs / "secrets/index.yaml"
    index.write_text("".join(line for line in index.read_text().splitlines(True) if "encryption/1" not in line))
    (workspace.inputs / "secrets/encryption/1.age").unlink()
    with pytest.raises(
        PkiError, match=r"encryption/1 is in use and secrets/index\.yaml does not list it; restore both"
    ):
        workspace.render()


def test_a_key_whose_value_was_replaced_is_refused(workspace: Workspace) -> None:
    (workspace.inputs / "secrets/index.yaml").unlink()  # so that the next issue gives an id anew
    refused(workspace, "encryption/1 would become another key under the same name")


def test_a_service_account_pair_that_was_replaced_is_refused(workspace: Workspace) -> None:
    for name in ("sa.pub", "sa.key.age"):
        (workspace.inputs / "pki" / name).unlink()
    refused(workspace, "sa would become another key under the same name")


@pytest.mark.parametrize("path", [CONFIG, "pki.yaml"])
def test_a_tree_that_cannot_be_compared_is_refused(workspace: Workspace, path: str) -> None:
    (workspace.rendered / path).write_text("nothing\n")
    with pytest.raises(RenderError, match=r"rendered/prod is not as render wrote it, .*restore it from git"):
        workspace.render()


def test_without_encryption_there_is_nothing_to_rotate(workspace: Workspace) -> None:
    workspace.edit({"encryption": {"provider": "none"}})
    with pytest.raises(RefusedError, match="nothing is encrypted at rest"):
        add_key(place(workspace), ENCRYPTION)


def test_another_provider_in_the_middle_of_a_rotation_keeps_the_writer(workspace: Workspace) -> None:
    to_step(workspace, ENCRYPTION, 1)
    workspace.edit({"encryption": {"provider": "aescbc"}})
    workspace.render()
    [rule] = yaml.safe_load((workspace.rendered / CONFIG).read_text())["resources"]
    assert next(iter(rule["providers"][0])) == "aescbc"
    assert set(map(tuple, keys_in(workspace).values())) == {("1", "2")}
