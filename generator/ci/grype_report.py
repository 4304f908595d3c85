"""The JSON report of Grype: https://github.com/anchore/grype/blob/main/schema/grype/document/json/schema-1.0.0.json.

Older ones have the same keys, and none has the number of its schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.ci.findings import Finding, Report, plain, severity_of, title_of
from generator.errors import RefusedError

_EOL = "distro-eol"
_MILDEST = "NEGLIGIBLE"
"""What Grype knows beside our severities: a word of distributions for what hardly matters, LOW with us."""


def is_grype(document: Mapping[str, Any]) -> bool:
    """Return whether a document says that it is of Grype."""
    return _part(document, "descriptor").get("name") == "grype"


def read_grype(document: Mapping[str, Any]) -> Report:
    """Return what a report of Grype holds; raises RefusedError for one that it does not write.

    Grype says what it found and not where it looked, so `targets` is None.
    """
    matches, source = document.get("matches"), _part(document, "source")
    if not isinstance(matches, list) or not source:
        raise RefusedError("the scanner's report has no list of matches, or no source; run the scanner again")
    if not all(isinstance(one, dict) and _part(one, "vulnerability").get("id") for one in matches):
        raise RefusedError("the scanner's report has vulnerabilities without an id; run the scanner again")
    found = dict.fromkeys(_finding(one) for one in matches)
    return Report(plain(_subject(source)), None, tuple(found), _forsaken(document))


def _finding(match: Mapping[str, Any]) -> Finding:
    one, package = _part(match, "vulnerability"), _part(match, "artifact")
    places = [place["path"] for place in _parts(package, "locations") if place.get("path")]
    severity = one.get("severity")
    return Finding(
        id=plain(one["id"]),
        severity="LOW" if str(severity).upper() == _MILDEST else severity_of(severity),
        package=plain(package.get("name") or "a package"),
        installed=plain(package.get("version") or ""),
        fixed=plain(_fixed(_part(one, "fix"))),
        target=plain(places[0] if places else package.get("type") or ""),
        title=title_of(one.get("description") or ""),
        alias=plain(_alias(match, str(one["id"]))),
    )


def _alias(match: Mapping[str, Any], own: str) -> str:
    # A GHSA is about one CVE. An advisory of a distribution may be about several: a waiver of one of them is no waiver
    # of the others.
    others = {str(one["id"]) for one in _parts(match, "relatedVulnerabilities") if one.get("id")} - {own}
    return others.pop() if len(others) == 1 else ""


def _fixed(fix: Mapping[str, Any]) -> str:
    versions = fix.get("versions")
    if fix.get("state") != "fixed" or not isinstance(versions, list):
        return ""
    return ", ".join(str(one) for one in versions)


def _subject(source: Mapping[str, Any]) -> str:
    target = source.get("target")
    if isinstance(target, dict):
        tags = target.get("tags")
        target = tags[0] if isinstance(tags, list) and tags else target.get("userInput")
    return str(target or "the scan")


def _forsaken(document: Mapping[str, Any]) -> str:
    for package in _parts(document, "alertsByPackage"):
        for alert in _parts(package, "alerts"):
            if alert.get("type") == _EOL:
                system = _part(alert, "metadata")
                return plain(f"{system.get('name') or 'the distribution'} {system.get('version') or ''}").strip()
    return ""


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _parts(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
