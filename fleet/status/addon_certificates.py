"""Certificates of addons: they lie on no host but in Secrets, so their ends are read from pki.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from fleet.status.finding import Finding
from fleet.status.moments import duration
from generator.errors import StaleTreeError

PREFIX = "addons/"


def addon_certificates(tree: Path) -> tuple[tuple[str, datetime], ...]:
    """Return name and end of each; raises StaleTreeError for a pki.yaml that render did not write.

    One without an end was never issued, as in the tree of a trial, and is left out.
    """
    try:
        text = (tree / "pki.yaml").read_bytes()
        entries = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["certificates"]
        return tuple(
            (str(entry["name"]), _moment(entry["notAfter"]))
            for entry in entries
            if str(entry["name"]).startswith(PREFIX) and "notAfter" in entry
        )
    except FileNotFoundError:
        return ()
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise StaleTreeError(
            f"{tree.name}: pki.yaml is not as render writes it ({error!r}); run `invoke render`"
        ) from None


def addon_findings(tree: Path, now: datetime, warn_days: int) -> Iterator[Finding]:
    """Yield each that has ended, or ends within so many days."""
    todo = "run `invoke certs.renew`, render and apply"
    for name, ends in addon_certificates(tree):
        left = ends - now
        if left <= timedelta(0):
            yield Finding(
                "certificate", f"the certificate {name} has ended; {todo}", "", f"on {ends:%Y-%m-%d %H:%M} UTC"
            )
        elif left < timedelta(days=warn_days):
            text, detail = f"the certificate {name} ends soon; {todo}", f"in {duration(left.total_seconds())}"
            yield Finding("certificate", text, "", detail, "warning")


def _moment(value: object) -> datetime:
    # YAML itself reads a moment that stands without quotes.
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
