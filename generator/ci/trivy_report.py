"""The JSON report of Trivy, schema 2: https://trivy.dev/latest/docs/configuration/reporting/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.ci.findings import Finding, Report, plain, severity_of, title_of
from generator.errors import RefusedError

_VERSION = "SchemaVersion"
_SCHEMA = 2


def is_trivy(document: Mapping[str, Any]) -> bool:
    """Return whether a document says that it is of Trivy, in whatever schema."""
    return _VERSION in document


def read_trivy(document: Mapping[str, Any]) -> Report:
    """Return what a report of Trivy holds; raises RefusedError for one that it does not write."""
    if document[_VERSION] != _SCHEMA:
        raise RefusedError(
            "the scanner's report is not of Trivy's JSON schema 2; use a scanner that writes it, in a version from 0.20"
        )
    results = document.get("Results")
    if results is not None and not (isinstance(results, list) and all(isinstance(one, dict) for one in results)):
        raise RefusedError("the scanner's report has Results that are no list; run the scanner again")
    found: dict[Finding, None] = {}
    for result in results or []:
        for one in _entries(result):
            found[_finding(one, str(result.get("Target", "")))] = None
    name = str(document.get("ArtifactName") or "the scan")
    return Report(plain(name), len(results or []), tuple(found), _forsaken(document))


def _forsaken(document: Mapping[str, Any]) -> str:
    metadata = document.get("Metadata")
    system = metadata.get("OS") if isinstance(metadata, dict) else None
    if not isinstance(system, dict) or system.get("EOSL") is not True:
        return ""
    return plain(f"{system.get('Family') or 'the distribution'} {system.get('Name') or ''}").strip()


def _entries(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = result.get("Vulnerabilities") or []
    if isinstance(entries, list) and all(isinstance(one, dict) and one.get("VulnerabilityID") for one in entries):
        return entries
    raise RefusedError("the scanner's report has vulnerabilities without an id; run the scanner again")


def _finding(one: Mapping[str, Any], target: str) -> Finding:
    return Finding(
        id=plain(one["VulnerabilityID"]),
        severity=severity_of(one.get("Severity")),
        package=plain(one.get("PkgName") or "a package"),
        installed=plain(one.get("InstalledVersion") or ""),
        fixed=plain(one.get("FixedVersion") or ""),
        target=plain(target),
        title=title_of(one.get("Title") or ""),
    )
