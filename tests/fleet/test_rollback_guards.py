"""What a rollback refuses, what it does with secrets, and what a kill leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet.connection import Input
from fleet.generations import About, History, Undone, about_from
from fleet.push import host_manifest
from fleet.rollback import rollback_plan
from fleet.rollback_choice import choose, require_targets
from fleet.rollback_guards import refuse_lost_encryption_key, refuse_other_minor
from fleet.rollback_items import earlier_host
from fleet.runs import apply_run
from fleet.state import HostState, Owned, PathFacts
from fleet.tree import Host
from generator.errors import FleetError, RefusedError
from tests.fleet.local_host import as_root, killed_at
from tests.fleet.place import HOSTS, Place
from tests.fleet.small_tree import ITEMS, write_tree
from tests.fleet.test_rollback import CONF, change, roll_back, seen, text

ENCRYPTION = "/etc/kubernetes/encryption.yaml"


def link(version: str, component: str = "kubelet") -> dict[str, Any]:
    target = f"/opt/{component}/{version}/{component}"
    return {"path": f"/usr/local/bin/{component}", "kind": "link", "target": target, "phase": "runtime"}


def host_with(folder: Path, *items: dict[str, Any], contents: dict[str, str] | None = None) -> Host:
    return write_tree(folder, hosts={"n1": HOSTS["n1"]}, items=items, contents=contents or {}).hosts["n1"]


def leading_to(target: str, component: str = "kubelet") -> HostState:
    facts = PathFacts("link", "0777", "root", "root", "", target, True)
    return HostState(host="n1", paths={f"/usr/local/bin/{component}": facts})


@pytest.mark.parametrize("component", ["kubelet", "etcd", "kube-apiserver"])
def test_another_minor_is_refused_and_another_patch_is_not(tmp_path: Path, component: str) -> None:
    host = host_with(tmp_path, link("1.20.9", component))
    refuse_other_minor("demo", host, leading_to(f"/opt/{component}/1.20.15/{component}", component))
    with pytest.raises(RefusedError, match=rf"demo/n1: {component} would go from 1\.21 back to 1\.20: .* restore"):
        refuse_other_minor("demo", host, leading_to(f"/opt/{component}/1.21.1/{component}", component))


def test_another_minor_of_what_keeps_no_data_goes_back(tmp_path: Path) -> None:
    host = host_with(tmp_path, link("1.6.20", "containerd"))
    refuse_other_minor("demo", host, leading_to("/opt/containerd/1.7.1/containerd", "containerd"))


def encrypted(folder: Path, *keys: str) -> Host:
    """A host whose API server writes with the first of the keys and reads with all; the ids are those of the keys."""
    body = "".join(f"- {{{{secret:encryption/{key}}}}}\n" for key in keys)
    item = {
        "path": ENCRYPTION, "kind": "file", "mode": "0400", "phase": "runtime",
        "secrets": {f"encryption/{key}": f"id{key}" for key in keys},
    }  # fmt: skip
    return host_with(folder, item, contents={ENCRYPTION: body})


def installed(host: Host) -> HostState:
    return HostState(host="n1", owned={ENCRYPTION: Owned("secret", "runtime", "x", host.by_key[ENCRYPTION].content_id)})


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        (("1",), ("2", "1"), True),
        (("1",), ("1", "2"), False),
        (("1", "2"), ("2", "1"), False),
        (("2", "1"), ("2",), False),
        (("1",), ("2",), True),
        (("1",), ("1",), False),
    ],
)
def test_the_key_that_writes_never_goes(
    tmp_path: Path, before: Sequence[str], now: Sequence[str], refused: bool
) -> None:
    then, present = encrypted(tmp_path / "a", *before), encrypted(tmp_path / "b", *now)
    # As it is read from the manifests that hosts keep: without contents.
    lines = [line.split("\t") for line in host_manifest(then).decode().splitlines()]
    then = earlier_host("demo", present, then.digest, lines)
    if refused:
        with pytest.raises(RefusedError, match=r"encrypts with the key encryption/2 \(id id2\)"):
            refuse_lost_encryption_key("demo", then, installed(present), {}, present)
    else:
        refuse_lost_encryption_key("demo", then, installed(present), {}, present)


def test_the_key_that_writes_never_goes_with_its_file(tmp_path: Path) -> None:
    present, bare = encrypted(tmp_path / "a", "1"), host_with(tmp_path / "b", link("1.0"))
    known = {(ENCRYPTION, present.by_key[ENCRYPTION].content_id): [("encryption/1", "id1")]}
    with pytest.raises(RefusedError, match="encryption/1"):
        refuse_lost_encryption_key("demo", bare, installed(present), known, bare)


def test_a_manifest_that_is_not_that_of_its_generation_is_refused(tmp_path: Path) -> None:
    host = host_with(tmp_path, *[item for item in ITEMS if item["kind"] != "file"])
    lines = [line.split("\t") for line in host_manifest(host).decode().splitlines()]
    assert earlier_host("demo", host, host.digest, lines).digest == host.digest
    with pytest.raises(RefusedError, match=r"n1: the manifest kept of generation .* is not the one that was applied"):
        earlier_host("demo", host, host.digest, lines[1:])
    with pytest.raises(RefusedError, match="is not understood"):
        earlier_host("demo", host, host.digest, [line[:5] for line in lines])


def made(generation: str, tree: str, time: str, **more: Any) -> About:
    return About(generation, tree, "no git", False, "run", time, "who@where", **more)


def test_a_line_of_a_host_reads_back_and_a_strange_one_says_nothing() -> None:
    about = made("g", "t", "1", undone=Undone("u", "c", "r", "2", "o"), phases={"phases": []})
    assert about_from(about.line) == about
    assert about_from("{}") is None and about_from("half a li") is None


def test_a_host_is_not_rolled_back_for_what_an_older_slipway_recorded_since() -> None:
    # What is said there of generation b is about a; `history_of` passes such a line over.
    histories = [History("n1", "b", None, None, "a"), History("n2", "b2", made("b2", "T", "2"), None, "a2")]
    choice = choose("demo", histories)
    assert choice.targets == {"n2": "a2"}
    assert "no readable word of which apply made it" in choice.staying["n1"], "who is left out is named"


def test_an_unfinished_rollback_is_taken_up() -> None:
    histories = [
        History("n1", "a1", made("a1", "S", "1", undone=Undone("T", "", "r", "3", "o")), None, "b1"),
        History("n2", "b2", made("b2", "T", "2"), made("a2", "S", "3", undoes="T"), "a2"),
        History("n3", "b3", made("b3", "T", "2"), None, "a3"),
        History("n4", "c4", made("c4", "S", "1"), None, "z4"),
    ]
    assert choose("demo", histories).targets == {"n2": "a2", "n3": "a3"}


def test_an_apply_that_went_forward_over_an_unfinished_rollback_can_be_undone() -> None:
    histories = [
        History("n1", "b1", made("b1", "T", "2"), made("c1", "U", "4"), "a1"),
        History("n2", "b2", made("b2", "T", "2"), made("a2", "S", "3", undoes="T"), "a2"),
    ]
    assert choose("demo", histories).targets == {"n1": "b1", "n2": "b2"}


def test_a_limit_on_hosts_that_the_apply_did_not_move_says_so() -> None:
    choice = choose("demo", [History("n1", "b", made("b", "T", "2"), None, "a"), History("n2")])
    with pytest.raises(RefusedError, match="it moved none of the hosts that are asked for"):
        require_targets("demo", choice, {})


KEY, CERT = "/etc/idle/idle.key", "/etc/idle/idle.crt"


def with_pair(place: Place, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tree have a key and its certificate; the value of the key comes from a stand-in for what is sealed."""
    place.items = [item for item in place.items if item.get("path") not in {KEY, CERT}]
    place.items += [
        {"path": KEY, "kind": "secret", "mode": "0400", "phase": "runtime", "secret": "pki/idle", "id": f"id{number}"},
        {"path": CERT, "kind": "file", "mode": "0644", "phase": "runtime", "restarts": ["idle.service"]},
    ]
    place.contents[CERT] = f"certificate {number}\n"
    monkeypatch.setattr("fleet.secrets.SecretStore.content", lambda *_: f"KEYBYTES {number}\n".encode())
    monkeypatch.setattr("fleet.pushing.open_identity", _nothing)


async def _nothing(_: object) -> None:
    return None


@as_root
def test_the_old_key_and_its_certificate_come_back_together_without_any_identity(
    one: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_pair(one, 1, monkeypatch)
    one.run(apply_run)
    with_pair(one, 2, monkeypatch)
    one.run(apply_run)
    host = one.hosts["n1"]
    assert text(host, KEY) == "KEYBYTES 2\n"

    def never(*_: object) -> bytes:
        raise AssertionError("a rollback opens no secret")

    monkeypatch.setattr("fleet.secrets.SecretStore.content", never)
    sent: list[bytes] = []
    run = type(host).run

    async def listening(self: Any, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Any:
        result = await run(self, argv, stdin, timeout=timeout)
        sent.extend([stdin if isinstance(stdin, bytes) else b"", result.stdout, " ".join(argv).encode()])
        return result

    monkeypatch.setattr(type(host), "run", listening)
    lines = seen(one)
    roll_back(one)
    assert not [data for data in sent if b"KEYBYTES" in data], "no key travels"
    assert f"    ~ {KEY}  secret; id id2 -> id1" in lines
    assert (text(host, KEY), text(host, CERT)) == ("KEYBYTES 1\n", "certificate 1\n")
    assert (host.root / KEY[1:]).stat().st_mode & 0o777 == 0o400
    with_pair(one, 1, monkeypatch)
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]


@as_root
@pytest.mark.parametrize(
    ("program", "number"), [("mv", 3), ("mv", 12), ("sync", 8), ("systemctl", 2), ("cp", 2), ("cp", 8), ("rm", 5)]
)
@pytest.mark.parametrize("then", ["rollback", "apply"])
def test_a_killed_rollback_goes_on_or_an_apply_goes_forward(one: Place, program: str, number: int, then: str) -> None:
    late = {"path": "/etc/idle/late.conf", "kind": "file", "mode": "0644", "phase": "runtime"}
    gone = {**late, "path": "/etc/idle/gone.conf"}
    one.items.append(gone)
    one.contents["/etc/idle/gone.conf"] = "gone\n"
    one.run(apply_run)
    change(one, 2)
    one.items[-1] = late
    one.contents["/etc/idle/late.conf"] = "late\n"
    one.run(apply_run)
    host = one.hosts["n1"]
    killed = False
    with killed_at(host, program, number):
        try:
            roll_back(one)
        except FleetError:
            killed = True
    if then == "rollback":
        if killed:
            try:
                roll_back(one)
            except RefusedError as error:
                assert "has been rolled back already" in str(error), "the kill came after all was done"
        assert text(host, CONF) == "level: 1\n"
        change(one, 1)
        one.items[-1] = gone
    else:
        one.run(apply_run)
        assert text(host, CONF) == "level: 2\n"
    assert (host.root / "etc/idle/gone.conf").exists() == (then == "rollback")
    assert (host.root / "etc/idle/late.conf").exists() == (then == "apply")
    assert (host.fake / "units/idle.service").read_text() == "active\n"
    assert not host.state("underway").exists()
    assert not list(host.state("pending").iterdir())
    assert not list(host.root.rglob(".*.slipway"))
    assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]
    if then == "apply":
        assert one.run(rollback_plan).choice.targets, "the way back is still there"


@as_root
@pytest.mark.parametrize(("program", "number"), [("mv", 1), ("mv", 9), ("sync", 5), ("cp", 3), ("rm", 7), ("rm", 9)])
def test_an_apply_killed_anywhere_can_be_rolled_back(one: Place, program: str, number: int) -> None:
    one.run(apply_run)
    change(one, 2)
    host = one.hosts["n1"]
    if one.died(apply_run, host, program, number):
        begun = host.state("underway").exists()
        arrived = host.state("generation").read_text().splitlines()[0] == one.tree().hosts["n1"].digest
        if begun or arrived:
            roll_back(one)
        assert text(host, CONF) == "level: 1\n"
        change(one, 1)
        one.run(apply_run)
        assert one.plan() == ["demo: nothing to do, 1 host is as rendered"]
        assert not host.state("underway").exists()
