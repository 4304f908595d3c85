"""What left the manifest goes from hosts: units first, files with the units that have read them, nobody else's."""

from __future__ import annotations

import os

import pytest

from fleet.runs import apply_run
from generator.errors import GateError, HostError
from tests.fleet.local_host import as_root
from tests.fleet.place import HOSTS, Place

pytestmark = as_root


def test_what_left_the_manifest_goes_units_before_files(place: Place) -> None:
    place.run(apply_run)
    place.items = [item for item in place.items if item["kind"] in {"user", "directory"}]
    place.contents = {}
    host = place.hosts["n1"]
    host.forget_log()
    (host.root / "etc/idle/own.conf").write_text("of the operator\n")
    place.run(apply_run)
    assert host.log[0] == "disable idle.service"
    for path in (
        "etc/idle/idle.conf",
        "etc/systemd/system/idle.service",
        "usr/local/bin/idle",
    ):
        assert not os.path.lexists(host.root / path), path
    assert (host.root / "opt/idle/1.0/idle").exists(), "a rollback needs it"
    assert (host.root / "etc/idle/own.conf").exists()
    assert len(place.plan()) == 1


def test_the_files_of_a_unit_that_does_not_stop_stay(place: Place) -> None:
    place.run(apply_run)
    place.items = [item for item in place.items if item["kind"] in {"user", "directory"}]
    place.contents = {}
    host = place.hosts["n1"]
    systemctl = (host.fake / "bin/systemctl").read_text()
    (host.fake / "bin/systemctl").write_text(systemctl.replace("echo inactive >", "echo active >"))
    with pytest.raises(HostError, match=r"n1: remove: idle\.service cannot be stopped, so its files stay"):
        place.run(apply_run)
    assert (host.root / "etc/systemd/system/idle.service").exists()
    (host.fake / "bin/systemctl").write_text(systemctl)
    place.run(apply_run)
    assert not (host.root / "etc/systemd/system/idle.service").exists()
    assert len(place.plan()) == 1


def test_a_file_that_somebody_else_changed_is_named_and_kept(place: Place) -> None:
    place.run(apply_run)
    host = place.hosts["n1"]
    (host.root / "etc/idle/idle.conf").write_text("precious\n")
    place.items = [item for item in place.items if item.get("path") != "/etc/idle/idle.conf"]
    del place.contents["/etc/idle/idle.conf"]
    assert "    - /etc/idle/idle.conf (file) kept: somebody else has changed it" in place.plan()
    place.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").read_text() == "precious\n"
    assert not (place.hosts["n2"].root / "etc/idle/idle.conf").exists()
    assert len(place.plan()) == 1, "it is no longer ours"


def with_extra(place: Place, **units: list[str]) -> None:
    """Give the tree one more file of the phase host-base that units of a later phase read."""
    place.items.append(
        {"path": "/etc/idle/extra.conf", "kind": "file", "mode": "0644", "phase": "host-base", **units},
    )  # fmt: skip
    place.contents["/etc/idle/extra.conf"] = "more: 1\n"


def without_extra(place: Place) -> None:
    place.items = [item for item in place.items if item.get("path") != "/etc/idle/extra.conf"]
    del place.contents["/etc/idle/extra.conf"]
    for name in place.names:
        place.hosts[name].forget_log()


def test_a_file_that_left_restarts_the_unit_that_reads_it_in_that_units_batches(place: Place) -> None:
    with_extra(place, restarts=["idle.service"])
    place.run(apply_run)
    without_extra(place)
    lines = place.plan()
    assert lines[lines.index("phase runtime") :] == [
        "phase runtime",
        "  n1…3 (3 hosts)",
        "    - /etc/idle/extra.conf",
        "    ! restart idle.service",
        "",
        "demo: 3 hosts, 3 restarts, 3 removals",
    ]
    (place.hosts["n1"].fake / "broken.idle.service").touch()
    with pytest.raises(GateError):
        place.run(apply_run)
    assert (place.hosts["n2"].root / "etc/idle/extra.conf").exists(), "one host at a time"
    (place.hosts["n1"].fake / "broken.idle.service").unlink()
    place.run(apply_run)
    for name in HOSTS:
        assert not (place.hosts[name].root / "etc/idle/extra.conf").exists()
        assert place.hosts[name].log[-1] in {"restart idle.service", "start idle.service"}
    assert place.hosts["n2"].log == ["restart idle.service"]
    assert place.plan() == ["demo: nothing to do, 3 hosts are as rendered"]


def test_a_drop_in_that_left_is_reloaded_before_its_unit_restarts(place: Place) -> None:
    path = "/etc/systemd/system/idle.service.d/50-own.conf"
    place.items.append({"path": path, "kind": "file", "mode": "0644", "phase": "runtime", "restarts": ["idle.service"]})
    place.contents[path] = "[Service]\nNice=1\n"
    place.run(apply_run)
    place.items.pop()
    del place.contents[path]
    host = place.hosts["n1"]
    host.forget_log()
    place.run(apply_run)
    assert host.log == ["daemon-reload", "restart idle.service"]


def test_a_file_that_left_and_that_somebody_changed_restarts_nothing(place: Place) -> None:
    with_extra(place, restarts=["idle.service"])
    place.names = {"n1": HOSTS["n1"]}
    place.run(apply_run)
    without_extra(place)
    host = place.hosts["n1"]
    (host.root / "etc/idle/extra.conf").write_text("of the operator\n")
    assert "    - /etc/idle/extra.conf (file) kept: somebody else has changed it" in place.plan()
    place.run(apply_run)
    assert host.log == [] and (host.root / "etc/idle/extra.conf").exists()


def test_a_file_that_left_restarts_a_unit_of_the_system_only_where_it_runs(place: Place) -> None:
    with_extra(place, restarts=["sysctl.service"], reloads=["other.service"])
    place.names = {name: HOSTS[name] for name in ("n1", "n2")}
    place.run(apply_run)
    without_extra(place)
    (place.hosts["n1"].fake / "units/sysctl.service").write_text("active\n")
    assert "    ! restart sysctl.service" in place.plan()
    place.run(apply_run)
    assert place.hosts["n1"].log == ["try-restart sysctl.service"] and place.hosts["n2"].log == []
    assert len(place.plan()) == 1
