"""What scanners find, in one form whoever found it, and the words that all readers of reports share."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
"""From the mildest to the worst."""
_TITLE = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """One vulnerability of one package; `fixed` is the version that mends it, "" where none does yet.

    `alias` is the id under which others know the same vulnerability, "" where there is none: a waiver may name either.
    """

    id: str
    severity: str
    package: str
    installed: str
    fixed: str
    target: str
    title: str
    alias: str = ""

    @property
    def line(self) -> str:
        """Return what a reader of the log needs to act on it."""
        mend = f"{self.fixed} mends it" if self.fixed else "nothing mends it yet"
        title = f": {self.title}" if self.title else ""
        known = f"{self.id} ({self.alias})" if self.alias else self.id
        return f"{self.severity} {known} in {self.package} {self.installed} ({self.target}), {mend}{title}"

    @property
    def ids(self) -> tuple[str, ...]:
        """Return what a waiver may call it, in upper case."""
        return tuple(one.upper() for one in (self.id, self.alias) if one)


@dataclass(frozen=True, slots=True)
class Report:
    """What was scanned, every finding once, and the distribution if it is `forsaken`.

    `targets` is in how many places the scanner looked, None where its report does not say.
    """

    subject: str
    targets: int | None
    findings: tuple[Finding, ...]
    forsaken: str


def plain(text: object) -> str:
    """Return a text of a report, which holds those of strangers, as a log may show it: in terminals and browsers."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def title_of(text: object) -> str:
    """Return the beginning of what a report says about a vulnerability."""
    return plain(text)[:_TITLE]


def severity_of(word: object) -> str:
    """Return a severity as we write it; what a later scanner calls otherwise is not passed over for that."""
    severity = str(word or "UNKNOWN").upper()
    return severity if severity in SEVERITIES else "CRITICAL"
