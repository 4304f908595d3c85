"""Rollback over hosts without SSH: the real scripts, below scratch folders."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from fleet.options import Options
from fleet.rollback import Rollback, rollback_plan, rollback_run
from fleet.rollback_text import rollback_json, rollback_lines
from fleet.runs import apply_run
from generator.errors import GateError, RefusedError
from tests.fleet.local_host import LocalHost, as_root
from tests.fleet.place import HOSTS, PROGRAM, Place
from tests.fleet.small_tree import DAEMON

pytestmark = as_root
CONF = "/etc/idle/idle.conf"


async def yes(_: Rollback) -> bool:
    return True


def roll_back(place: Place, options: Options | None = None, **more: Any) -> Rollback:
    found = place.run(lambda fleet: rollback_run(fleet, yes), options, **more)
    assert isinstance(found, Rollback)
    return found


def seen(place: Place, options: Options | None = None) -> list[str]:
    return [line.text for line in rollback_lines(place.run(rollback_plan, options))]


def text(host: LocalHost, path: str) -> str:
    return (host.root / path[1:]).read_text()


def marks(host: LocalHost) -> dict[str, Any]:
    found = json.loads(host.state("about").read_text())
    assert isinstance(found, dict)
    return found


def change(place: Place, level: int) -> None:
    place.contents[CONF] = f"level: {level}\n"


def forget_logs(place: Place) -> None:
    for host in place.hosts.hosts.values():
        host.forget_log()


def test_the_files_of_the_generation_before_come_back_and_git_is_ahead_until_the_revert(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    place.run(apply_run)
    forget_logs(place)
    lines = seen(place)
    assert lines[2] == "on:         n1…3"
    for line in ("    ~ /etc/idle/idle.conf", "        -level: 2", "        +level: 1"):
        assert line in lines
    assert any(line.startswith("    ! restart idle.service") for line in lines)
    assert text(place.hosts["n1"], CONF) == "level: 2\n", "to look changes nothing"
    roll_back(place)
    for name in HOSTS:
        assert text(place.hosts[name], CONF) == "level: 1\n"
        assert place.hosts[name].log == ["restart idle.service"]
        assert not place.hosts[name].state("underway").exists()
    ahead = place.plan()
    assert "        -level: 1" in ahead and "        +level: 2" in ahead
    change(place, 1)
    assert place.plan() == ["demo: nothing to do, 3 hosts are as rendered"]
    forget_logs(place)
    place.run(apply_run)
    assert [place.hosts[name].log for name in HOSTS] == [[], [], []]
    assert [place.hosts[name].state("generation").read_text().splitlines()[0] for name in HOSTS] == [
        place.tree().hosts[name].digest for name in HOSTS
    ]


def test_only_hosts_that_the_last_apply_moved_go_back(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    place.run(apply_run)
    own = {"n2": {"items": [dict(place.items[2], component="idle")], "contents": {CONF: "level: 3\n"}}}
    place.run(apply_run, own=own)
    found = place.run(rollback_plan, own=own)
    assert dict(rollback_json(found)["hosts"]) == {"n2": place.hosts["n1"].state("generation").read_text().split()[0]}
    roll_back(place, own=own)
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 2\n"] * 3


def test_a_tree_that_was_applied_again_by_a_revert_is_another_apply(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    place.run(apply_run)
    change(place, 3)
    place.run(apply_run, Options(limit=("n1",)))
    change(place, 2)
    place.run(apply_run)
    assert list(place.run(rollback_plan).plan.hosts) == ["n1"], "the others have had that tree before"
    roll_back(place)
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 3\n", "level: 2\n", "level: 2\n"]


def test_an_apply_that_stopped_at_its_first_host_is_taken_back_there(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    (place.hosts["n1"].fake / "broken.idle.service").touch()
    with pytest.raises(GateError):
        place.run(apply_run)
    (place.hosts["n1"].fake / "broken.idle.service").unlink()
    forget_logs(place)
    found = roll_back(place)
    assert found.choice.partly == ("n1",) and list(found.plan.hosts) == ["n1"]
    assert text(place.hosts["n1"], CONF) == "level: 1\n"
    assert place.hosts["n1"].log == ["start idle.service"]
    assert place.hosts["n2"].log == [] == place.hosts["n3"].log
    assert not place.hosts["n1"].state("underway").exists()
    change(place, 1)
    assert place.plan() == ["demo: nothing to do, 3 hosts are as rendered"]


def test_an_apply_that_reached_two_of_three_goes_back_on_both(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    (place.hosts["n3"].fake / "broken.idle.service").touch()
    with pytest.raises(GateError):
        place.run(apply_run)
    (place.hosts["n3"].fake / "broken.idle.service").unlink()
    roll_back(place)
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 1\n"] * 3


def test_a_mended_apply_that_failed_too_goes_back_with_the_first(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    (place.hosts["n2"].fake / "broken.idle.service").touch()
    with pytest.raises(GateError):
        place.run(apply_run)
    change(place, 3)
    (place.hosts["n1"].fake / "broken.idle.service").touch()
    with pytest.raises(GateError):
        place.run(apply_run)
    for name in ("n1", "n2"):
        (place.hosts[name].fake / "broken.idle.service").unlink()
    roll_back(place)
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 1\n"] * 3


def test_a_second_rollback_is_refused_and_one_after_the_next_apply_is_not(place: Place) -> None:
    place.run(apply_run)
    with pytest.raises(RefusedError, match="n1: it had no generation before this apply"):
        roll_back(place)
    change(place, 2)
    place.run(apply_run)
    roll_back(place)
    with pytest.raises(RefusedError, match=r"has been rolled back already, at .* go on through git"):
        roll_back(place)
    change(place, 3)
    place.run(apply_run)
    roll_back(place)
    assert text(place.hosts["n1"], CONF) == "level: 1\n"


def test_items_that_came_go_and_items_that_went_come_back(one: Place) -> None:
    extra = {"path": "/etc/idle/extra.conf", "kind": "file", "mode": "0640", "phase": "runtime"}
    read = {**extra, "path": "/etc/idle/read.conf", "restarts": ["idle.service"], "mode": "0600"}
    one.items += [extra, read]
    one.contents |= {extra["path"]: "an old one\n", read["path"]: "read\n"}  # type: ignore[dict-item]
    one.run(apply_run)
    host = one.hosts["n1"]
    one.items = one.items[:-2]
    unit = "/etc/systemd/system/late.service"
    one.items += [
        {"path": "/etc/late", "kind": "directory", "mode": "0755", "phase": "runtime"},
        {"path": "/etc/late/late.conf", "kind": "file", "mode": "0644", "phase": "runtime"},
        {"path": unit, "kind": "file", "mode": "0644", "phase": "runtime", "restarts": ["late.service"]},
        {"path": "/usr/local/bin/late", "kind": "link", "target": "/opt/idle/1.0/idle", "phase": "runtime"},
        {"name": "late.service", "kind": "unit", "phase": "runtime"},
        {"name": "late", "kind": "user", "phase": "host-base"},
    ]
    one.contents |= {"/etc/late/late.conf": "late\n", unit: DAEMON}
    one.run(apply_run)
    assert not (host.root / "etc/idle/extra.conf").exists() and not (host.root / "etc/idle/read.conf").exists()
    assert (host.fake / "units/late.service").read_text() == "active\n"
    host.forget_log()
    roll_back(one)
    assert text(host, "/etc/idle/extra.conf") == "an old one\n"
    assert (host.root / "etc/idle/extra.conf").stat().st_mode & 0o777 == 0o640
    assert text(host, "/etc/idle/read.conf") == "read\n"
    assert (host.root / "etc/idle/read.conf").stat().st_mode & 0o777 == 0o600
    assert "restart idle.service" in host.log
    assert "disable late.service" in host.log
    for path in ("etc/late", unit[1:], "usr/local/bin/late"):
        assert not os.path.lexists(host.root / path), path
    assert "late:" in (host.root / "etc/passwd").read_text(), "a user stays"
    one.items = [*one.items[:-6], extra, read]
    one.contents = {path: text_ for path, text_ in one.contents.items() if path not in {"/etc/late/late.conf", unit}}
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]


def test_what_somebody_else_had_there_before_the_apply_is_given_back(one: Place) -> None:
    one.run(apply_run)
    host = one.hosts["n1"]
    (host.root / "etc/motd").write_text("of the distribution\n")
    one.items.append({"path": "/etc/motd", "kind": "file", "mode": "0644", "phase": "runtime"})
    one.contents["/etc/motd"] = "ours\n"
    one.run(apply_run)
    assert text(host, "/etc/motd") == "ours\n"
    roll_back(one)
    assert text(host, "/etc/motd") == "of the distribution\n"


def test_a_directory_that_is_not_empty_stays(one: Place) -> None:
    one.run(apply_run)
    one.items.append({"path": "/etc/late", "kind": "directory", "mode": "0755", "phase": "runtime"})
    one.run(apply_run)
    (one.hosts["n1"].root / "etc/late/mine").write_text("of the operator\n")
    roll_back(one)
    assert text(one.hosts["n1"], "/etc/late/mine") == "of the operator\n"


def patch_release(place: Place) -> None:
    """Let the tree have version 1.1 of the program, at a path and a link of its own."""
    for item in place.items:
        if item["kind"] == "binary":
            item |= {"path": "/opt/idle/1.1/idle"}
        if item["kind"] == "link":
            item |= {"target": "/opt/idle/1.1/idle"}


def test_a_patch_release_goes_back_without_artifacts_and_its_binary_goes_one_apply_later(one: Place) -> None:
    one.run(apply_run)
    host = one.hosts["n1"]
    patch_release(one)
    one.run(apply_run)
    assert os.readlink(host.root / "usr/local/bin/idle") == "/opt/idle/1.1/idle"
    assert (host.root / "opt/idle/1.0/idle").read_bytes() == PROGRAM
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"], "a kept binary is no drift"
    (one.folder / "art/idle").unlink()
    roll_back(one)
    assert os.readlink(host.root / "usr/local/bin/idle") == "/opt/idle/1.0/idle"
    assert (host.root / "opt/idle/1.1/idle").exists(), "the way forward is kept as well"
    change(one, 2)
    one.run(apply_run)
    assert (host.root / "opt/idle/1.0/idle").exists(), "the generation before has it"
    change(one, 3)
    one.run(apply_run)
    left = sorted(path.name for path in (host.root / "opt/idle").iterdir())
    assert left == ["1.1"]


def test_a_binary_that_somebody_deleted_is_named_before_anything_changes(one: Place) -> None:
    one.run(apply_run)
    patch_release(one)
    one.run(apply_run)
    (one.hosts["n1"].root / "opt/idle/1.0/idle").unlink()
    with pytest.raises(RefusedError, match=r"n1: /opt/idle/1\.0/idle of the previous generation is not there any more"):
        roll_back(one)


def test_a_file_that_was_edited_before_the_apply_cannot_come_back(one: Place) -> None:
    one.run(apply_run)
    host = one.hosts["n1"]
    (host.root / CONF[1:]).write_text("level: 9\n")
    change(one, 2)
    one.run(apply_run)
    with pytest.raises(RefusedError, match=r"n1: /etc/idle/idle\.conf: somebody else had changed it before"):
        seen(one)
    assert text(host, CONF) == "level: 2\n"


def test_a_file_that_was_edited_after_the_apply_goes_back_all_the_same(one: Place) -> None:
    one.run(apply_run)
    change(one, 2)
    one.run(apply_run)
    (one.hosts["n1"].root / CONF[1:]).write_text("level: 9\n")
    roll_back(one)
    assert text(one.hosts["n1"], CONF) == "level: 1\n"


def test_nothing_is_done_without_consent(one: Place) -> None:
    async def no(_: Rollback) -> bool:
        return False

    one.run(apply_run)
    change(one, 2)
    one.run(apply_run)
    with pytest.raises(RefusedError, match="nobody agreed; add --yes"):
        one.run(lambda fleet: rollback_run(fleet, no))
    assert text(one.hosts["n1"], CONF) == "level: 2\n"
    assert not one.hosts["n1"].state("underway").exists()


def test_a_limit_goes_back_on_some_and_the_rest_later(place: Place) -> None:
    place.run(apply_run)
    change(place, 2)
    place.run(apply_run)
    lines = seen(place, Options(limit=("n2",)))
    assert any(line.startswith("not asked for: n1, n3: ") for line in lines)
    roll_back(place, Options(limit=("n2",)))
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 2\n", "level: 1\n", "level: 2\n"]
    roll_back(place)
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 1\n"] * 3


def test_a_rollback_is_in_the_journal_as_one(one: Place) -> None:
    one.run(apply_run)
    first = one.tree().digest
    change(one, 2)
    one.run(apply_run)
    roll_back(one, Options(command="invoke rollback"))
    lines = [json.loads(line) for line in one.hosts["n1"].state("journal").read_text().splitlines()]
    assert [(line["tree"], line["undoes"], line["result"]) for line in lines[-2:]] == [
        (first, one.tree().digest, "begun"), (first, one.tree().digest, "done"),
    ]  # fmt: skip
    assert lines[-1]["command"] == "invoke rollback"


def test_hosts_that_an_older_slipway_set_up_are_planned_applied_and_later_rolled_back(place: Place) -> None:
    place.run(apply_run)
    for name in HOSTS:
        host = place.hosts[name]
        host.state("about").unlink()
        generation = host.state("generation")
        generation.write_text(generation.read_text().splitlines()[0] + "\n")
    assert place.plan() == ["demo: nothing to do, 3 hosts are as rendered"]
    with pytest.raises(RefusedError, match="no host says which apply made its generation"):
        seen(place)
    change(place, 2)
    place.run(apply_run)
    assert seen(place)[1].startswith("comes back: an earlier generation, of which no host says who made it")
    roll_back(place)
    assert [text(place.hosts[name], CONF) for name in HOSTS] == ["level: 1\n"] * 3
    with pytest.raises(RefusedError, match="has been rolled back already"):
        roll_back(place)


def test_copies_and_manifest_are_for_root_alone(one: Place) -> None:
    one.run(apply_run)
    change(one, 2)
    one.run(apply_run)
    host = one.hosts["n1"]
    for folder in (host.state(""), host.state("previous")):
        assert folder.stat().st_mode & 0o077 == 0
    assert (marks(host)["tree"], marks(host)["undone"]) == (one.tree().digest, None)
