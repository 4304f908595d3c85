"""What a run creates is fit for a strict cluster, and what a killed one left is told from what lives."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.holder import process_id
from fleet.verify.pods import missing_pod
from fleet.verify.results import Checked, CheckResult, Finding, Report, report_json, report_lines
from fleet.verify.run import TITLES, VerifyOptions, design
from fleet.verify.workload import LABELS, LONGEST_RUN, Maker, left_over, new_name, objects
from generator.errors import WorkspaceError
from tests.golden.cases import cluster_tree

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ME = process_id(os.getpid())


def left(machine: str, process: str, age: timedelta) -> dict[str, Any]:
    stamp = (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"slipway.io/machine": machine, "slipway.io/process": process}
    return {"metadata": {"name": "slipway-verify-1", "creationTimestamp": stamp, "annotations": told}}


@pytest.mark.parametrize(
    ("machine", "process", "age", "expected"),
    [
        ("here", "this", timedelta(minutes=1), False),
        ("here", "this", 3 * LONGEST_RUN, False),
        ("here", "this pid, another start", timedelta(minutes=1), True),
        ("here", "", timedelta(minutes=1), True),
        ("there", "1@1", timedelta(minutes=1), False),
        ("there", "1@1", LONGEST_RUN + timedelta(minutes=1), True),
        ("", "1@1", timedelta(minutes=1), False),
    ],
)
def test_a_run_that_lives_keeps_its_namespace(machine: str, process: str, age: timedelta, expected: bool) -> None:
    # Ids of tests are the same in every process that collects them.
    named = {"this": ME, "this pid, another start": f"{os.getpid()}@1"}
    assert left_over(left(machine, named.get(process, process), age), "here", NOW) is expected


def test_an_unknown_machine_is_not_this_one_because_both_are_unknown() -> None:
    assert left_over(left("", "1@1", timedelta(minutes=1)), "", NOW) is False


def test_pods_would_pass_the_strictest_policy_and_run_on_any_node() -> None:
    namespace, daemons, service = objects("slipway-verify-1", "r.example/b:1", Maker("a@b", "m", "1@2"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert LABELS.items() <= namespace["metadata"]["labels"].items()
    pod = daemons["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (
        pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    )
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["resources"].keys() == {"requests", "limits"}
    assert container["imagePullPolicy"] == "IfNotPresent" and container["command"][0] == "/bin/busybox"
    assert pod["tolerations"] == [{"operator": "Exists"}] and pod["automountServiceAccountToken"] is False
    assert "affinity" not in pod
    assert service["spec"]["selector"].items() <= daemons["spec"]["template"]["metadata"]["labels"].items()
    assert all(one["metadata"].get("namespace", "slipway-verify-1") == "slipway-verify-1" for one in (daemons, service))


def test_pods_run_where_they_are_wanted() -> None:
    def terms(**more: list[str]) -> list[dict[str, Any]]:
        spec = objects("n", "i:1", Maker("", "", ""), **more)[1]["spec"]["template"]["spec"]  # type: ignore[arg-type]
        wanted = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        found: list[dict[str, Any]] = wanted["nodeSelectorTerms"][0]["matchExpressions"]
        return found

    assert terms(only=["w1"]) == [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]
    assert terms(never=["cp1"]) == [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["cp1"]}]


def test_names_of_runs_differ() -> None:
    assert len({new_name() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("status", "cause", "todo"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no\nmore"}}}]},
            "ImagePullBackOff: no", "set verify.image",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}], "phase": "Pending"},
            "its container is being created", "the pod network",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "Error", "message": ""}}}]},
            "Error", "containerd",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "too many pods"}]},
            "too many pods", "kube-scheduler",
        ),
        ({"phase": "Running"}, "it does not answer its probe", "the pod network"),
        (None, "admission webhook says no", "admission policies"),
    ],
)  # fmt: skip
def test_why_a_node_has_no_pod_is_said_in_the_clusters_words(
    status: dict[str, Any] | None, cause: str, todo: str
) -> None:
    pod = None if status is None else {"metadata": {"name": "page-1"}, "status": status}
    found = missing_pod("w1", pod, "admission webhook says no", 180)
    assert found.subject == "w1"
    assert found.cause == f"no test pod is Ready there after 180 s: {cause}"
    assert todo in found.todo


# --- what a run would do --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory):
    from fleet.tree import load

    folder = tmp_path_factory.mktemp("tree") / "ha"
    for path, content in cluster_tree("ha").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return load(folder)


def test_the_whole_cluster_has_pods_on_workers_and_never_on_others(tree) -> None:
    found = design(tree, "i:1", (), VerifyOptions())
    assert found.checks == tuple(TITLES)
    assert all("worker" in host.pool.roles for host in found.pod_hosts) and found.pod_hosts
    expressions = str(found.objects[1])
    control = [host.node for host in tree.with_role("control-plane")]
    assert "'NotIn'" in expressions and all(f"'{node}'" in expressions for node in control)
    assert not any(f"'{host.node}'" in expressions for host in found.pod_hosts)


def test_all_nodes_and_a_limit_change_where_pods_run(tree) -> None:
    assert len(design(tree, "i:1", (), VerifyOptions(all_nodes=True)).pod_hosts) == len(
        [host for host in tree.hosts.values() if host.node]
    )
    worker = tree.with_role("worker")[0]
    found = design(tree, "i:1", (worker.name,), VerifyOptions())
    assert [host.name for host in found.pod_hosts] == [worker.name] and "'In'" in str(found.objects[1])
    control = tree.with_role("control-plane")[0]
    alone = design(tree, "i:1", (control.name,), VerifyOptions())
    assert alone.pod_hosts == () and alone.objects == ()


def test_only_some_checks_bring_what_they_need_and_no_more(tree) -> None:
    assert design(tree, "i:1", (), VerifyOptions(("rights",))).checks == ("rights",)
    assert design(tree, "i:1", (), VerifyOptions(("rights",))).objects == ()
    assert design(tree, "i:1", (), VerifyOptions(("service",))).checks == ("hosts", "pods", "service", "cleanup")
    with pytest.raises(WorkspaceError, match=r"--only servce: no such check; there are hosts, nodes, "):
        design(tree, "i:1", (), VerifyOptions(("servce",)))


# --- reports --------------------------------------------------------------------------------------------------------


def test_a_report_says_what_failed_and_what_was_not_made() -> None:
    bad = Checked("3 hosts", (Finding("w1", "it is broken", "mend it"),), ("old",))
    report = Report(
        "demo",
        (
            CheckResult("nodes", "every node is Ready", Checked("3 nodes"), 0.1),
            CheckResult("service", "a Service answers", bad, 2.0),
            CheckResult("dns", "names are found", Checked(skipped="no DNS yet"), 0.0),
        ),
        12.3,
    )
    assert report.exit_code == 2
    assert report_lines(report) == [
        "passed  nodes    every node is Ready (3 nodes)",
        "FAILED  service  a Service answers (3 hosts)",
        "          w1: it is broken; mend it",
        "          note: old",
        "skipped dns      names are found (no DNS yet)",
        "demo: 1 passed, 1 failed, 1 skipped in 12 s",
    ]
    plain = report_json(report)
    assert plain["outcome"] == "failed" and [one["outcome"] for one in plain["checks"]] == [  # type: ignore[attr-defined]
        "passed", "failed", "skipped",
    ]  # fmt: skip
    assert Report("demo", report.checks[::2], 1).exit_code == 0
