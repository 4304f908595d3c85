"""The gate behind a scanner: which findings of its report stop a run, and which a waiver of the project passes over.

The scanner is a program of the agent; read here is the JSON report of Trivy, schema 2, which scanners beside it can
write too: https://trivy.dev/latest/docs/configuration/reporting/. A report that cannot be read never passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from generator.ci.schema import WaiverSection
from generator.errors import RefusedError

SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
"""From the mildest to the worst."""
STOPPING = ("HIGH", "CRITICAL")
"""What stops a run unless said."""
_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One vulnerability of one package; `fixed` is the version that mends it, "" where none does yet."""

    id: str
    severity: str
    package: str
    installed: str
    fixed: str
    target: str
    title: str

    @property
    def line(self) -> str:
        """Return what a reader of the log needs to act on it."""
        mend = f"{self.fixed} mends it" if self.fixed else "nothing mends it yet"
        title = f": {self.title}" if self.title else ""
        return f"{self.severity} {self.id} in {self.package} {self.installed} ({self.target}), {mend}{title}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    `milder` counts findings below the gate; `idle` are waivers that nothing needed; `forsaken` is the distribution of
    an image for which nobody mends vulnerabilities any more, "" where there is none.
    """

    subject: str
    stopping: tuple[Finding, ...]
    waived: tuple[tuple[Finding, WaiverSection], ...]
    ended: tuple[WaiverSection, ...]
    idle: tuple[WaiverSection, ...]
    milder: int
    targets: int
    forsaken: str = ""

    @property
    def passes(self) -> bool:
        """Return whether the run goes on."""
        return not self.stopping

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the verdict as people read it, the worst first, what to do last."""
        found = [f"stops: {one.line}" for one in self.stopping]
        found += [f"waived until {waiver.until} ({waiver.reason}): {one.line}" for one, waiver in self.waived]
        found += [f"the waiver of {one.id} ended on {one.until}; decide anew" for one in self.ended]
        found += [f"the waiver of {one.id} is not needed for this; take it out once no scan needs it"
                  for one in self.idle]  # fmt: skip
        if self.forsaken:
            found.append(
                f"{self.forsaken} gets no more security fixes, so little is known of it; take a newer base image"
            )
        if not self.targets:
            found.append("the scanner found nothing to look at; see whether it knows this kind of source")
        counted = f"{len(self.stopping)} stop, {len(self.waived)} waived, {self.milder} below the gate"
        if self.stopping:
            return (*found, f"{self.subject}: {counted}; update the packages, or write a waiver with an end")
        return (*found, f"{self.subject}: {counted}; passed")


def severities_of(text: str) -> tuple[str, ...]:
    """Return a comma-separated list of severities as the scanner writes them; raises RefusedError."""
    words = tuple(dict.fromkeys(word.strip().upper() for word in text.split(",") if word.strip()))
    unknown = [word for word in words if word not in SEVERITIES]
    if unknown or not words:
        raise RefusedError(
            f"{text!r} is no list of severities; write some of {', '.join(SEVERITIES)}, separated by commas"
        )
    return words


@dataclass(frozen=True, slots=True)
class Report:
    """What was scanned, in how many targets, every finding once, and the distribution if it is `forsaken`."""

    subject: str
    targets: int
    findings: tuple[Finding, ...]
    forsaken: str


def report_of(report: str | bytes) -> Report:
    """Return what a scanner's report holds; raises RefusedError for a text that is no such report."""
    try:
        document = json.loads(report)
    except (ValueError, RecursionError):
        raise RefusedError(
            "the scanner's report is no JSON; see what the scanner said, and give it --format json"
        ) from None
    if not isinstance(document, dict) or document.get("SchemaVersion") != _SCHEMA:
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
    return Report(_plain(name), len(results or []), tuple(found), _forsaken(document))


def _forsaken(document: Mapping[str, Any]) -> str:
    metadata = document.get("Metadata")
    system = metadata.get("OS") if isinstance(metadata, dict) else None
    if not isinstance(system, dict) or system.get("EOSL") is not True:
        return ""
    return _plain(f"{system.get('Family') or 'the distribution'} {system.get('Name') or ''}").strip()


def _entries(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = result.get("Vulnerabilities") or []
    if isinstance(entries, list) and all(isinstance(one, dict) and one.get("VulnerabilityID") for one in entries):
        return entries
    raise RefusedError("the scanner's report has vulnerabilities without an id; run the scanner again")


def _finding(one: Mapping[str, Any], target: str) -> Finding:
    severity = str(one.get("Severity") or "UNKNOWN").upper()
    return Finding(
        id=_plain(str(one["VulnerabilityID"])),
        # What a later scanner calls otherwise is not passed over for that.
        severity=severity if severity in SEVERITIES else "CRITICAL",
        package=_plain(str(one.get("PkgName") or "a package")),
        installed=_plain(str(one.get("InstalledVersion") or "")),
        fixed=_plain(str(one.get("FixedVersion") or "")),
        target=_plain(target),
        title=_plain(str(one.get("Title") or ""))[:120],
    )


def _plain(text: str) -> str:
    # A report holds texts of strangers, and a log is read in terminals and browsers.
    return "".join(char if char.isprintable() else " " for char in text)


def judge(
    report: str | bytes, waivers: Iterable[WaiverSection], today: date, stopping: Sequence[str] = STOPPING
) -> Verdict:
    """Return the verdict on a report; a waiver counts up to and with its last day.

    Raises RefusedError for a text that is no report.
    """
    found = report_of(report)
    findings = found.findings
    waivers = tuple(waivers)
    holding = {one.id.upper(): one for one in waivers if date.fromisoformat(one.until) >= today}
    grave = [one for one in findings if one.severity in stopping]
    grave.sort(key=lambda one: (-SEVERITIES.index(one.severity), one.id, one.package, one.target))
    ids = {one.id.upper() for one in grave}
    return Verdict(
        subject=found.subject,
        stopping=tuple(one for one in grave if one.id.upper() not in holding),
        waived=tuple((one, holding[one.id.upper()]) for one in grave if one.id.upper() in holding),
        ended=tuple(one for one in waivers if one.id.upper() not in holding),
        idle=tuple(one for one in holding.values() if one.id.upper() not in ids),
        milder=len(findings) - len(grave),
        targets=found.targets,
        forsaken=found.forsaken,
    )
