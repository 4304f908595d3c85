"""What a check found: passed, failed with the findings in words, or skipped with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong: the host, node or identity that it is about ("" for the cluster), cause, what to do."""

    subject: str
    cause: str
    todo: str

    def __str__(self) -> str:
        where = f"{self.subject}: " if self.subject else ""
        return f"{where}{self.cause}; {self.todo}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check returns: how much it looked at, in words, what is wrong, and what is only worth knowing.

    `skipped` is the reason where it could not be made at all.
    """

    looked_at: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of a report; `seconds` is how long it took."""

    name: str
    title: str
    checked: Checked
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """How it ended; what was found counts even where the rest was skipped."""
        if self.checked.findings:
            return "failed"
        return "skipped" if self.checked.skipped else "passed"


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a run, in order."""

    cluster: str
    checks: tuple[CheckResult, ...]
    seconds: float

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return sum(check.outcome == outcome for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 where nothing failed, else 2."""
        return 2 if self.count("failed") else 0


def checked(looked_at: str, findings: Sequence[Finding | None], notes: Sequence[str] = ()) -> Checked:
    """Return what a check found, sorted, without the Nones of what was in order."""
    return Checked(looked_at, tuple(sorted(one for one in findings if one is not None)), tuple(sorted(notes)))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 node, 3 nodes."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def report_lines(report: Report) -> list[str]:
    """Return a report as lines for people: each check, what is wrong below it, and how many ended how."""
    marks: dict[Outcome, str] = {"passed": "passed ", "failed": "FAILED ", "skipped": "skipped"}
    width = max((len(check.name) for check in report.checks), default=0)
    lines: list[str] = []
    for check in report.checks:
        about = check.checked.looked_at or check.checked.skipped
        extra = f" ({about})" if about else ""
        lines.append(f"{marks[check.outcome]} {check.name:<{width}}  {check.title}{extra}")
        lines.extend(f"          {finding}" for finding in check.checked.findings)
        lines.extend(f"          note: {note}" for note in check.checked.notes)
    words = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped"))
    return [*lines, f"{report.cluster}: {words} in {report.seconds:.0f} s"]


def report_json(report: Report) -> dict[str, object]:
    """Return a report as plain values for programs; docs/verify.md describes them."""
    return {
        "cluster": report.cluster,
        "outcome": "failed" if report.exit_code else "passed",
        "seconds": round(report.seconds, 1),
        "checks": [
            {
                "name": check.name,
                "title": check.title,
                "outcome": check.outcome,
                "seconds": round(check.seconds, 1),
                "lookedAt": check.checked.looked_at,
                "skipped": check.checked.skipped,
                "findings": [
                    {"subject": one.subject, "cause": one.cause, "todo": one.todo} for one in check.checked.findings
                ],
                "notes": list(check.checked.notes),
            }
            for check in report.checks
        ],
    }
