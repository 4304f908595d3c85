"""Grype's report at the gate: the same verdict as on Trivy's, its words in ours, and that nothing half passes."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from generator.ci.scanning import judge, report_of
from generator.ci.schema import WaiverSection
from generator.errors import RefusedError

TODAY = date(2026, 11, 22)
CVE = "CVE-2026-0001"
GHSA = "GHSA-aaaa-bbbb-cccc"


def related(*ids: str) -> list[dict[str, Any]]:
    return [{"id": id, "dataSource": f"https://nvd.nist.gov/vuln/detail/{id}", "urls": [], "cvss": []} for id in ids]


def match(id: str = CVE, severity: str | None = "High", others: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A match as its schema has it, 1.0.0; `more` are keys of the vulnerability."""
    said = {} if severity is None else {"severity": severity}
    fix: dict[str, Any] = {"versions": [], "state": "not-fixed"}
    return {
        "vulnerability": {"id": id, "dataSource": "", "urls": [], "cvss": [], "fix": fix, "advisories": [], "risk": 1.5,
                          **said, **more},
        "relatedVulnerabilities": related(*others),
        "matchDetails": [{"type": "exact-direct-match", "matcher": "dpkg-matcher", "searchedBy": {}, "found": {}}],
        "artifact": {"id": "1", "name": "openssl", "version": "3.0.1", "type": "deb", "language": "", "licenses": [],
                     "locations": [{"path": "/var/lib/dpkg/status", "accessPath": "/var/lib/dpkg/status"}],
                     "cpes": [], "purl": "", "upstreams": []},
    }  # fmt: skip


def document(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    target = {"userInput": "docker-archive:out/image.tar", "tags": ["registry.example.net/apps/hello:1"]}
    return {
        "matches": list(found),
        "source": {"type": "image", "target": target},
        "distro": {"name": "debian", "version": "12", "idLike": []},
        "descriptor": {"name": "grype", "version": "0.118.0", "timestamp": "2026-11-22T10:00:00Z"},
        **more,
    }


def report(*found: dict[str, Any], **more: Any) -> str:
    return json.dumps(document(*found, **more))


def waiver(id: str) -> WaiverSection:
    return WaiverSection(id=id, until="2027-01-01", reason="not reached")


def test_a_grave_finding_stops_and_says_what_mends_it() -> None:
    grave = match(fix={"versions": ["3.0.2", "3.1.4"], "state": "fixed"}, description="a bug")
    verdict = judge(report(grave, match("CVE-2", "Low")), (), TODAY)
    assert not verdict.passes
    assert verdict.lines == (
        "stops: HIGH CVE-2026-0001 in openssl 3.0.1 (/var/lib/dpkg/status), 3.0.2, 3.1.4 mends it: a bug",
        "registry.example.net/apps/hello:1: 1 stop, 0 waived, 1 below the gate; update the packages, or write a waiver "
        "with an end",
    )


@pytest.mark.parametrize("state", ["not-fixed", "wont-fix", "unknown", ""])
def test_only_a_version_that_mends_is_called_one(state: str) -> None:
    text = report(match(fix={"versions": ["9"], "state": state}))
    assert "nothing mends it yet" in judge(text, (), TODAY).lines[0]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("Critical", "CRITICAL"), ("High", "HIGH"), ("Medium", "MEDIUM"), ("Low", "LOW"), ("Negligible", "LOW"),
     ("Unknown", "UNKNOWN"), (None, "UNKNOWN"), ("", "UNKNOWN"), ("Severe", "CRITICAL")],
)  # fmt: skip
def test_its_severities_are_ours(theirs: str | None, ours: str) -> None:
    (found,) = report_of(report(match(severity=theirs))).findings
    assert found.severity == ours


@pytest.mark.parametrize("id", [GHSA, GHSA.lower(), CVE])
def test_a_waiver_may_name_the_advisory_or_its_cve(id: str) -> None:
    text = report(match(GHSA, others=(CVE,)))
    verdict = judge(text, [waiver(id)], TODAY)
    assert verdict.passes and verdict.idle == ()
    assert f"HIGH {GHSA} ({CVE}) in openssl" in verdict.lines[0]


def test_a_waiver_of_the_id_itself_is_the_one_that_is_said() -> None:
    by = WaiverSection(id=GHSA, until="2027-02-02", reason="ours")
    for waivers in ([waiver(CVE), by], [by, waiver(CVE)]):
        verdict = judge(report(match(GHSA, others=(CVE,))), waivers, TODAY)
        assert [one for _, one in verdict.waived] == [by] and verdict.idle == ()


def test_a_waiver_of_one_of_several_passes_over_none_of_them() -> None:
    advisory = match("ALAS-2026-1", others=(CVE, "CVE-2026-0002"))
    verdict = judge(report(advisory), [waiver(CVE)], TODAY)
    assert not verdict.passes and [one.id for one in verdict.idle] == [CVE]
    assert judge(report(advisory), [waiver("ALAS-2026-1")], TODAY).passes


def test_the_same_id_again_is_no_other_name() -> None:
    (found,) = report_of(report(match(CVE, others=(CVE,)))).findings
    assert found.alias == "" and f"HIGH {CVE} in" in found.line


def test_nothing_found_passes_and_nobody_guesses_where_it_looked() -> None:
    verdict = judge(report(), (), TODAY)
    assert verdict.lines == ("registry.example.net/apps/hello:1: 0 stop, 0 waived, 0 below the gate; passed",)
    assert verdict.targets is None
    assert judge(report(source={"type": "directory", "target": "/w/source"}), (), TODAY).subject == "/w/source"
    untagged = {"type": "image", "target": {"userInput": "docker-archive:image.tar", "tags": []}}
    assert judge(report(source=untagged), (), TODAY).subject == "docker-archive:image.tar"


def test_a_distribution_that_nobody_mends_is_said() -> None:
    def alerts(*kinds: str, **more: Any) -> list[dict[str, Any]]:
        return [{"package": {}, "alerts": [{"type": kind, "message": "", **more} for kind in kinds]}]

    system = {"name": "ubuntu", "version": "18.04"}
    said = judge(report(alertsByPackage=alerts("distro-disabled", "distro-eol", metadata=system)), (), TODAY)
    assert said.lines[0].startswith("ubuntu 18.04 gets no more security fixes")
    assert judge(report(alertsByPackage=alerts("distro-eol")), (), TODAY).forsaken == "the distribution"
    others: tuple[Any, ...] = (alerts("distro-disabled", metadata=system), alerts(), {}, None, [1], "x")
    for other in others:
        assert judge(report(alertsByPackage=other), (), TODAY).forsaken == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"matches": []}', "neither of Trivy's"),
        (report(descriptor={"name": "syft"}), "neither of Trivy's"),
        (report(descriptor=None), "neither of Trivy's"),
        (json.dumps([document()]), "neither of Trivy's"),
        (report()[:-9], "no JSON"),
        (report(matches=None), "no list of matches"),
        (report(matches={}), "no list of matches"),
        (json.dumps({key: value for key, value in document().items() if key != "matches"}), "no list of matches"),
        (report(source=None), "no source"),
        (report(matches=[1]), "without an id"),
        (report(matches=[{}]), "without an id"),
        (report(match(), match("")), "without an id"),
        (report({**match(), "vulnerability": "CVE-1"}), "without an id"),
    ],
)  # fmt: skip
def test_what_is_no_report_never_passes(text: str, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        judge(text, (), TODAY)


def test_what_is_left_out_or_bent_is_still_found() -> None:
    bent = {"vulnerability": {"id": CVE, "severity": "High", "fix": "3.0.2"}, "artifact": None,
            "relatedVulnerabilities": "x"}  # fmt: skip
    verdict = judge(report(bent, {**bent, "artifact": {"type": "go-module", "locations": [{}]}}), (), TODAY)
    assert [(one.package, one.target, one.alias) for one in verdict.stopping] == [
        ("a package", "", ""), ("a package", "go-module", ""),
    ]  # fmt: skip


def test_a_report_cannot_steer_a_terminal() -> None:
    bad = "x\x1b[2J\ny\u202e"
    found = {**match(bad, others=(f"{bad}2",), description=bad, fix={"versions": [bad], "state": "fixed"})}
    found["artifact"] = {"name": bad, "version": bad, "type": bad, "locations": [{"path": bad}]}
    verdict = judge(report(found, source={"target": bad}), (), TODAY)
    assert len(verdict.lines) == 2 and all(line.isprintable() for line in verdict.lines)
