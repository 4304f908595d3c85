"""The scan gate: what stops, what a waiver passes over and until when, and that nothing unreadable passes."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from generator.ci.findings import SEVERITIES
from generator.ci.scanning import judge, severities_of
from generator.ci.schema import WaiverSection
from generator.errors import RefusedError

TODAY = date(2026, 11, 22)


def vulnerability(id: str = "CVE-2026-0001", severity: str = "HIGH", **more: Any) -> dict[str, Any]:
    return {"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "3.0.1", "Severity": severity, **more}


def report(*found: dict[str, Any], **more: Any) -> str:
    result = {"Target": "app (debian 12)", "Class": "os-pkgs", "Vulnerabilities": list(found)}
    return json.dumps({"SchemaVersion": 2, "ArtifactName": "hello", "Results": [result], **more})


def waiver(until: str, id: str = "CVE-2026-0001") -> WaiverSection:
    return WaiverSection(id=id, until=until, reason="not reached")


def test_a_grave_finding_stops_and_says_what_mends_it() -> None:
    verdict = judge(
        report(vulnerability(FixedVersion="3.0.2", Title="a bug"), vulnerability("CVE-2", "LOW")), (), TODAY
    )
    assert not verdict.passes
    assert verdict.lines == (
        "stops: HIGH CVE-2026-0001 in openssl 3.0.1 (app (debian 12)), 3.0.2 mends it: a bug",
        "hello: 1 stop, 0 waived, 1 below the gate; update the packages, or write a waiver with an end",
    )


def test_the_worst_is_first_and_each_is_told_once() -> None:
    found = [vulnerability("CVE-3"), vulnerability("CVE-1"), vulnerability("CVE-2", "CRITICAL"), vulnerability("CVE-1")]
    assert [one.id for one in judge(report(*found), (), TODAY).stopping] == ["CVE-2", "CVE-1", "CVE-3"]


@pytest.mark.parametrize(("until", "passes"), [("2026-11-23", True), ("2026-11-22", True), ("2026-11-21", False)])
def test_a_waiver_holds_up_to_its_last_day(until: str, passes: bool) -> None:
    verdict = judge(report(vulnerability()), [waiver(until)], TODAY)
    assert verdict.passes is passes
    line = verdict.lines[0] if passes else verdict.lines[1]
    assert line.startswith(
        f"waived until {until} (not reached): HIGH" if passes else "the waiver of CVE-2026-0001 ended"
    )


def test_a_waiver_is_for_its_own_finding_and_said_where_it_is_idle() -> None:
    verdict = judge(report(vulnerability("CVE-9")), [waiver("2027-01-01")], TODAY)
    assert not verdict.passes and [one.id for one in verdict.idle] == ["CVE-2026-0001"]
    assert judge(report(vulnerability("cve-2026-0001")), [waiver("2027-01-01")], TODAY).passes


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_gate_stops_what_it_is_told_to_stop(severity: str) -> None:
    text = report(vulnerability(severity=severity))
    assert judge(text, (), TODAY).passes is (severity not in {"HIGH", "CRITICAL"})
    assert not judge(text, (), TODAY, (severity,)).passes


def test_a_severity_that_nobody_knows_counts_as_the_worst() -> None:
    assert not judge(report(vulnerability(severity="SEVERE")), (), TODAY).passes


def test_nothing_found_passes_and_nothing_looked_at_is_said() -> None:
    assert judge(report(), (), TODAY).lines == ("hello: 0 stop, 0 waived, 0 below the gate; passed",)
    for results in ({"Results": None}, {"Results": []}):
        assert judge(report(**results), (), TODAY).lines[0].startswith("the scanner found nothing to look at")
    assert judge('{"SchemaVersion": 2}', (), TODAY).passes


def test_a_distribution_that_nobody_mends_is_said() -> None:
    system = {"Family": "debian", "Name": "9.13"}
    line = "debian 9.13 gets no more security fixes, so little is known of it; take a newer base image"
    assert judge(report(Metadata={"OS": {**system, "EOSL": True}}), (), TODAY).lines[0] == line
    assert judge(report(Metadata={"OS": {"EOSL": True}}), (), TODAY).forsaken == "the distribution"
    for metadata in ({"OS": system}, {"OS": {**system, "EOSL": False}}, {"OS": None}, {}, None, [], "x"):
        assert judge(report(Metadata=metadata), (), TODAY).forsaken == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON"), ("killed", "no JSON"), ("[" * 100000, "no JSON"), ("null", "schema 2"), ("[]", "schema 2"),
        ("{}", "schema 2"), ('{"SchemaVersion": 1}', "schema 2"), ('{"SchemaVersion": 2, "Results": {}}', "no list"),
        ('{"SchemaVersion": 2, "Results": [1]}', "no list"),
        ('{"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{}]}]}', "without an id"),
        ('{"SchemaVersion": 2, "Results": [{"Vulnerabilities": "x"}]}', "without an id"),
    ],
)  # fmt: skip
def test_what_is_no_report_never_passes(text: str, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        judge(text, (), TODAY)


def test_a_report_cannot_steer_a_terminal() -> None:
    verdict = judge(report(vulnerability(PkgName="x\x1b[2J\ny", Title="\u202e\x07")), (), TODAY)
    assert all(line.isprintable() for line in verdict.lines)


def test_severities_are_read_as_people_write_them() -> None:
    assert severities_of("high, Critical,high") == ("HIGH", "CRITICAL")
    for wrong in ("", "HIGH,SEVERE", ","):
        with pytest.raises(RefusedError, match="is no list of severities"):
            severities_of(wrong)
