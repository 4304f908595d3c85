"""Activation on one host where things are not as they should be: what was there before, and what a killed run left."""

from __future__ import annotations

import pytest

from fleet.runs import apply_run
from generator.errors import FleetError, HostError
from tests.fleet.local_host import LocalHost, as_root
from tests.fleet.place import Place

pytestmark = as_root


def owned_users(host: LocalHost) -> list[str]:
    lines = host.state("installed").read_text().splitlines()
    return [line.partition("\t")[0] for line in lines if line.startswith("user:")]


def test_a_user_who_was_there_before_us_is_not_ours(one: Place) -> None:
    host = one.hosts["n1"]
    # `id` asks this machine, systemd-sysusers the scratch folder: "daemon" is known to both.
    (host.root / "etc/passwd").write_text("daemon:x:1:1::/:/usr/sbin/nologin\n")
    (host.root / "etc/group").write_text("daemon:x:1:\n")
    one.items.append({"name": "daemon", "kind": "user", "phase": "host-base"})
    one.run(apply_run)
    assert owned_users(host) == ["user:idler"]
    one.items.pop()
    assert not [line for line in one.plan() if "daemon" in line]


def test_a_user_whom_we_made_stays_ours(one: Place) -> None:
    host = one.hosts["n1"]
    one.run(apply_run)
    # As on the next run of a real host: `id` knows him now.
    (host.fake / "bin/id").write_text("#!/bin/sh\nexit 0\n")
    (host.fake / "bin/id").chmod(0o755)
    next(item for item in one.items if item["kind"] == "directory")["mode"] = "0750"
    one.run(apply_run)
    assert owned_users(host) == ["user:idler"]


def test_a_user_of_a_killed_run_is_ours(one: Place) -> None:
    host = one.hosts["n1"]
    program = host.fake / "bin/systemd-sysusers"
    program.write_text("#!/bin/sh\nkill -9 0\n")
    program.chmod(0o755)
    with pytest.raises(FleetError):
        one.run(apply_run)
    program.unlink()
    assert owned_users(host) == ["user:idler"]


def test_an_empty_mark_counts_as_a_restart(one: Place) -> None:
    host = one.hosts["n1"]
    one.run(apply_run)
    host.forget_log()
    host.state("pending/idle.service").write_text("")
    assert one.plan()[:3] == [
        "phase runtime",
        "  n1",
        "    ! restart idle.service  because an earlier run left it owed",
    ]
    one.run(apply_run)
    assert host.log == ["restart idle.service"]
    assert not list(host.state("pending").iterdir())


def test_a_kill_leaves_no_half_copy_for_a_rollback(one: Place) -> None:
    host = one.hosts["n1"]
    one.run(apply_run)
    one.contents["/etc/idle/idle.conf"] = "level: 2\n"
    program = host.fake / "bin/cp"
    program.write_text('#!/bin/sh\nfor to; do :; done\nprintf lev >"$to"\nkill -9 0\n')
    program.chmod(0o755)
    with pytest.raises(FleetError):
        one.run(apply_run)
    assert (host.root / "etc/idle/idle.conf").read_text() == "level: 1\n"
    program.unlink()
    one.run(apply_run)
    kept = [path for path in host.state("previous").rglob("files/**/*") if path.is_file()]
    assert [(path.name, path.read_text()) for path in kept] == [("idle.conf", "level: 1\n")]


DPKG_QUERY = """#!/bin/sh
case $* in
*Package*) [ ! -e "$FAKE/have" ] || printf 'installed\tidle-tools\t1\nidle-more\t1\n' ;;
*) [ ! -e "$FAKE/have" ] || echo installed ;;
esac
"""
DPKG = """#!/bin/sh
echo "dpkg $*" >>"$FAKE/apt.log"
rm -f "$FAKE/interrupted"
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$FAKE/apt.log"
echo "Reading package lists..."
case $* in *update*) exit 0 ;; esac
if [ -e "$FAKE/interrupted" ]; then
    echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'" >&2
    echo "see above" >&2
    exit 100
fi
: >"$FAKE/have"
mkdir -p "$FAKE/units"
: >"$FAKE/units/enabled.tools.service"
[ ! -e "$FAKE/kill" ] || kill -9 0
"""
LISTS = """#!/bin/sh
case $1 in
list-unit-files) for unit in "$FAKE"/units/enabled.*; do echo "${unit##*/enabled.} enabled"; done; exit ;;
esac
exec "$FAKE/systemctl.real" "$@"
"""
OPTIONS = "-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold"


@pytest.fixture
def packaged(one: Place) -> Place:
    """A host with package tools that remember, and a manifest that wants two packages."""
    host = one.hosts["n1"]
    (host.fake / "bin/systemctl").rename(host.fake / "systemctl.real")
    for name, text in (("dpkg-query", DPKG_QUERY), ("dpkg", DPKG), ("apt-get", APT_GET), ("systemctl", LISTS)):
        (host.fake / "bin" / name).write_text(text)
        (host.fake / "bin" / name).chmod(0o755)
    (host.fake / "units").mkdir()
    (host.fake / "units/enabled.ssh.service").touch()
    one.items += [{"name": name, "kind": "package", "phase": "host-base"} for name in ("idle-tools", "idle-more")]
    return one


def test_packages_wait_for_the_lock_and_keep_what_was_configured(packaged: Place) -> None:
    host = packaged.hosts["n1"]
    packaged.run(apply_run)
    assert (host.fake / "apt.log").read_text().splitlines() == [
        f"apt-get -q -y --no-install-recommends {OPTIONS} install idle-more idle-tools"
    ]
    assert "disable tools.service" in host.log and "disable ssh.service" not in host.log
    assert not host.state("units-before").exists()
    assert "Reading package lists..." in host.state("packages.log").read_text()


def test_what_an_interrupted_dpkg_left_is_configured_before_the_retry(packaged: Place) -> None:
    host = packaged.hosts["n1"]
    (host.fake / "interrupted").touch()
    packaged.run(apply_run)
    words = [" ".join(line.split()[:2]) for line in (host.fake / "apt.log").read_text().splitlines()]
    assert words == ["apt-get -q", "dpkg --force-confold", "apt-get -q", "apt-get -q"]
    assert not (host.root / "usr/sbin/policy-rc.d").exists()


def test_packages_that_cannot_be_installed_say_why_in_one_line(packaged: Place) -> None:
    host = packaged.hosts["n1"]
    (host.fake / "interrupted").touch()
    (host.fake / "bin/dpkg").write_text("#!/bin/sh\n")
    with pytest.raises(HostError) as caught:
        packaged.run(apply_run)
    assert str(caught.value).splitlines()[0] == (
        "demo/n1: activate: packages cannot be installed: idle-more idle-tools: "
        "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
    )


def test_what_a_package_of_a_killed_run_enabled_is_turned_off(packaged: Place) -> None:
    host = packaged.hosts["n1"]
    (host.fake / "kill").touch()
    with pytest.raises(FleetError):
        packaged.run(apply_run)
    assert "disable tools.service" not in host.log
    packaged.run(apply_run)
    assert "disable tools.service" in host.log and "disable ssh.service" not in host.log
    assert not host.state("units-before").exists()


def test_an_attempt_that_began_before_new_files_is_made_anew(one: Place) -> None:
    # Renewed certificates restart nothing that runs; a program that keeps dying of the expired ones must try again.
    host = one.hosts["n1"]
    pair = {"path": "/etc/idle/leaf.crt", "kind": "file", "mode": "0644", "owner": "root", "group": "root"}
    one.items.append({**pair, "phase": "runtime"})
    one.contents["/etc/idle/leaf.crt"] = "expired\n"
    one.run(apply_run)
    one.contents["/etc/idle/leaf.crt"] = "renewed\n"
    host.forget_log()
    one.run(apply_run)
    assert host.log == []
    one.contents["/etc/idle/leaf.crt"] = "renewed again\n"
    (host.fake / "units/idle.service").write_text("activating\n")
    one.run(apply_run)
    assert host.log == ["restart idle.service"]


def test_what_came_by_a_run_that_was_broken_off_is_not_kept_as_if_it_had_always_been_there(one: Place) -> None:
    host = one.hosts["n1"]
    one.run(apply_run)
    new = {"path": "/etc/idle/new.conf", "kind": "file", "mode": "0644", "owner": "root", "group": "root"}
    (host.root / "etc/idle/found.conf").write_text("somebody else's\n")
    for name in ("new.conf", "found.conf"):
        one.items.append({**new, "path": f"/etc/idle/{name}", "phase": "runtime", "restarts": ["idle.service"]})
    # Both ways off the first generation end with a unit that does not start.
    (host.fake / "broken.idle.service").touch()
    for text in ("first\n", "second\n"):
        one.contents["/etc/idle/new.conf"] = one.contents["/etc/idle/found.conf"] = text
        with pytest.raises(FleetError):
            one.run(apply_run)
        assert (host.root / "etc/idle/new.conf").read_text() == text
    (host.fake / "broken.idle.service").unlink()
    del one.items[-2:], one.contents["/etc/idle/new.conf"], one.contents["/etc/idle/found.conf"]
    one.run(apply_run)
    assert not (host.root / "etc/idle/new.conf").exists()
    assert (host.root / "etc/idle/found.conf").read_text() == "somebody else's\n"
