"""Applies that are taken back on real hosts: one that went through, one that failed, and a rollback that was killed."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster_under_test import LabCluster
from tests.lab.killing import Event, run_verb
from tests.lab.test_rolling import CONTROL, batches, flag, rendered

pytestmark = pytest.mark.lab

SCHEDULER = {(host, "kube-scheduler.service") for host in CONTROL}
UNIT = "/etc/systemd/system/kube-scheduler.service"


def restarted(lab: LabCluster, before: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    after = lab.unit_starts(CONTROL)
    return {unit for unit in before if before[unit] != after[unit]}


def scheduler_units(lab: LabCluster) -> list[str]:
    return [lab.sh(host, f"cat {UNIT}") for host in CONTROL]


def reverted(lab: LabCluster) -> None:
    """Take the last commit back as an operator does; the hosts are there already."""
    lab.git("revert", "--no-edit", "HEAD")
    done = lab.invoke("render")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = lab.invoke("plan")
    assert plan.returncode == 0, plan.stdout + plan.stderr


def committed_change(lab: LabCluster, value: object, message: str) -> None:
    assert lab.invoke("plan").returncode == 0, "the change of this test is the only one"
    lab.commit("before it")
    rendered(lab, flag("kube-scheduler", "leader-elect-renew-deadline", value))
    lab.commit(message)


def test_a_flag_that_went_through_goes_back_host_by_host(lab: LabCluster) -> None:
    was = scheduler_units(lab)
    committed_change(lab, "9s", "a flag that is to go back")
    done = lab.invoke("apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all("--leader-elect-renew-deadline=9s" in unit for unit in scheduler_units(lab))
    looked = lab.invoke("rollback", "--dry-run", "--json")
    assert looked.returncode == 2, looked.stdout + looked.stderr
    told = json.loads(looked.stdout)
    assert sorted(told["hosts"]) == sorted(CONTROL), "workers were not touched"
    assert told["undone"]["commit"] == lab.git("rev-parse", "HEAD").strip()
    assert lab.planned_restarts(json.dumps(told["plan"])) == SCHEDULER
    before = lab.unit_starts(CONTROL)
    back = lab.invoke("rollback", "--yes", "--json")
    assert back.returncode == 0, back.stdout + back.stderr
    assert sorted(batches(back.stdout, "control-plane")) == [[host] for host in CONTROL], "one host at a time"
    assert restarted(lab, before) == SCHEDULER
    assert scheduler_units(lab) == was
    ahead = lab.invoke("plan", "--json")
    assert ahead.returncode == 2 and lab.planned_restarts(ahead.stdout) == SCHEDULER, "git still has it"
    reverted(lab)


@pytest.mark.lab_long
def test_a_bad_flag_that_stopped_at_the_first_host_is_taken_back_there(lab: LabCluster) -> None:
    was = scheduler_units(lab)
    committed_change(lab, "nonsense", "a bad flag")
    before = lab.unit_starts(CONTROL)
    failed = lab.invoke("apply", "--yes", "--json")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    ((first,),) = batches(failed.stdout, "control-plane")
    back = lab.invoke("rollback", "--yes", "--json")
    assert back.returncode == 0, back.stdout + back.stderr
    assert batches(back.stdout, "control-plane") == [[first]], "the others were never reached"
    assert restarted(lab, before) == {(first, "kube-scheduler.service")}
    assert scheduler_units(lab) == was
    reverted(lab)


def test_a_rollback_that_is_killed_is_taken_up_where_it_stopped(lab: LabCluster) -> None:
    was = scheduler_units(lab)
    committed_change(lab, "8s", "a flag whose rollback is killed")
    assert lab.invoke("apply", "--yes").returncode == 0
    seen: list[Event] = []

    def second_host(event: Event) -> bool:
        seen.extend([event] if event["event"] == "host" and event["phase"] == "control-plane" else [])
        return len(seen) == 2

    killed = run_verb(lab, "rollback", kill_at=second_host)
    assert killed.killed, killed.errors
    before = lab.unit_starts(CONTROL)
    again = run_verb(lab, "rollback")
    assert again.exit == 0, again.errors
    done = {str(event["host"]) for event in seen}
    assert restarted(lab, before) >= {(host, "kube-scheduler.service") for host in set(CONTROL) - done}
    assert (seen[0]["host"], "kube-scheduler.service") not in restarted(lab, before), "it was back already"
    assert scheduler_units(lab) == was
    assert not any(lab.try_sh(host, "test -e /var/lib/slipway/underway").returncode == 0 for host in CONTROL)
    second = lab.invoke("rollback", "--yes")
    assert second.returncode == 1 and "has been rolled back already" in second.stderr
    reverted(lab)
