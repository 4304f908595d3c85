"""Every byte of every golden case is what the inputs give; missing, extra and stale files fail."""

from __future__ import annotations

import re

import pytest
import yaml

from generator.spec.model import Cluster
from tests.golden.addon_cases import ADDON_CASES, AddonCase, content
from tests.golden.cases import CASES, CLUSTERS, GOLDEN, VARIATIONS, Case, cluster, variation
from tests.golden.chart_cases import CHART_CASES, ChartCase
from tests.golden.ci_cases import PROJECT_CASES, ProjectCase
from tests.golden.kept import differences
from tests.golden.pipeline_cases import PIPELINE_CASES, PipelineCase


@pytest.mark.parametrize(
    "case",
    [*CASES, *ADDON_CASES, *PROJECT_CASES, *CHART_CASES, *PIPELINE_CASES],
    ids=lambda case: f"{case.folder.parent.name}/{case.name}",
)
def test_golden(case: Case | AddonCase | ProjectCase | ChartCase | PipelineCase) -> None:
    found = differences(case.expected(), case.actual())
    more = f"\n… and {len(found) - 200} lines more" if len(found) > 200 else ""
    assert not found, "run `make golden` and review what it writes:\n" + "\n".join(found[:200]) + more


def test_there_are_exactly_two_whole_trees() -> None:
    assert CLUSTERS == ["ha", "minimal"]


def test_every_variation_changes_something_and_says_what_it_is_about() -> None:
    for path in sorted((GOLDEN / "variations").iterdir()):
        case = yaml.safe_load((path / "case.yaml").read_text())
        assert set(case) <= {"about", "base", "patch", "keys"} and case["about"].strip(), path.name
        assert any((path / "rendered").rglob("*")) or (path / "vanished.txt").is_file(), path.name


def test_every_addon_has_a_default_and_variations_that_change_something() -> None:
    for case in ADDON_CASES:
        assert (
            set(content(case)) <= {"about", "base", "patch", "jsonnet", "projects", "files", "since"}
            and content(case)["about"].strip()
        ), case
        assert case.expected(), case
        assert AddonCase(case.addon, "default") in ADDON_CASES, case


def test_every_choice_that_makes_hosts_differ_has_a_variation() -> None:
    made = {case.name: cluster(case.name) if case.name in CLUSTERS else variation(case.name) for case in CASES}
    pools = {name: {pool.name: pool for pool in one.pools.values()} for name, one in made.items()}
    families = {frozenset(_family(pool.os) for pool in found.values()) for found in pools.values()}
    assert {frozenset({one}) for one in ("debian", "ubuntu", "redhat", "openeuler")} <= families
    processors = {frozenset(pool.arch for pool in found.values()) for found in pools.values()}
    assert processors == {frozenset({"amd64"}), frozenset({"arm64"}), frozenset({"amd64", "arm64"})}
    assert {one.firewall.mode for one in made.values()} == {"keep", "off", "managed"}
    assert {one.api.balancer for one in made.values()} == {"nginx", "haproxy", "none"}
    # Who carries the endpoint: nobody, somebody else's address, hosts in front, a virtual address.
    ends = {
        (_carriers(one), bool(one.with_role("load-balancer")), bool(one.api.endpoint_host)) for one in made.values()
    }
    assert ends >= {
        ("", False, False), ("", False, True), ("", True, True), ("load-balancer", True, True),
        ("control-plane", False, True),
    }  # fmt: skip
    assert any(pool.gpu is not None for found in pools.values() for pool in found.values())


def _carriers(made: Cluster) -> str:
    return made.api.vip.role if made.api.vip else ""


def _family(os: str) -> str:
    system = os.partition("-")[0]
    return "redhat" if system in {"rhel", "rocky", "alma"} else system


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_can_be_read(name: str) -> None:
    lines = sum(len(content.splitlines()) for content in Case(name, GOLDEN / "variations" / name).expected().values())
    assert lines < 900, "let it hold less: fewer hosts, or one behaviour"


def test_no_golden_holds_pem() -> None:
    for path in GOLDEN.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            assert not re.search(rb"-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=]{16}", path.read_bytes()), path
