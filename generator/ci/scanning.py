"""The gate behind a scanner: which findings of its report stop a run, and which a waiver of the project passes over.

The scanner is a program of the agent, and its report says itself whose it is. One that cannot be read never passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from generator.ci.findings import SEVERITIES, Finding, Report
from generator.ci.grype_report import is_grype, read_grype
from generator.ci.schema import WaiverSection
from generator.ci.trivy_report import is_trivy, read_trivy
from generator.errors import RefusedError

STOPPING = ("HIGH", "CRITICAL")
"""What stops a run unless said."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    `milder` counts findings below the gate; `idle` are waivers that nothing needed; `targets` is in how many places the
    scanner looked, None where it does not say; `forsaken` is the distribution of an image for which nobody mends
    vulnerabilities any more, "" where there is none.
    """

    subject: str
    stopping: tuple[Finding, ...]
    waived: tuple[tuple[Finding, WaiverSection], ...]
    ended: tuple[WaiverSection, ...]
    idle: tuple[WaiverSection, ...]
    milder: int
    targets: int | None
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
        if self.targets == 0:
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


def report_of(report: str | bytes) -> Report:
    """Return what a scanner's report holds; raises RefusedError for a text that is no such report."""
    try:
        document = json.loads(report)
    except (ValueError, RecursionError):
        raise RefusedError(
            "the scanner's report is no JSON; see what the scanner said, and give trivy --format json, or grype "
            "--output json"
        ) from None
    if isinstance(document, dict):
        if is_trivy(document):
            return read_trivy(document)
        if is_grype(document):
            return read_grype(document)
    raise RefusedError(
        "the scanner's report is neither of Trivy's JSON schema 2 nor of Grype's JSON; give trivy --format json, or "
        "grype --output json"
    )


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
    covered = {one: holding[id] for one in grave for id in reversed(one.ids) if id in holding}
    ids = {id for one in grave for id in one.ids}
    return Verdict(
        subject=found.subject,
        stopping=tuple(one for one in grave if one not in covered),
        waived=tuple((one, covered[one]) for one in grave if one in covered),
        ended=tuple(one for one in waivers if one.id.upper() not in holding),
        idle=tuple(one for one in holding.values() if one.id.upper() not in ids),
        milder=len(findings) - len(grave),
        targets=found.targets,
        forsaken=found.forsaken,
    )
