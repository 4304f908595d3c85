"""Verbs for certificates and what they need."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from generator.pki.issue import issue as issue_missing
from generator.pki.listing import CertificateStatus, certificate_list, expiry_warnings
from generator.pki.store import PkiStore
from generator.sealing import identity_once
from generator.spec import load
from verbs import console
from verbs.rendering import WHICH, print_issued, utc_now
from verbs.verb import verb
from verbs.workspace import place_of


@verb(name="issue", help={"cluster": WHICH})
def issue(context: Context, cluster: str | None = None) -> None:
    """Make the certificates, keys and secrets that are missing or do not match the spec; `render` does it too.

    Example: invoke certs.issue --cluster prod
    """
    place = place_of(cluster)
    model = load(place.root, place.cluster)
    report = issue_missing(model, place.inputs, clock=utc_now, identity=identity_once())
    print_issued(report)
    console.say(f"clusters/{place.cluster}/pki: {len(report.kept)} kept")


@verb(name="list", help={"cluster": WHICH, "json": "one JSON list instead of a table"})
def list_(context: Context, cluster: str | None = None, json: bool = False) -> int:
    """List every certificate: subject, SANs, expiry, days left, where it lies; exit 2 where one is about to expire.

    Example: invoke certs.list --cluster prod
    """
    place = place_of(cluster)
    rows = certificate_list(load(place.root, place.cluster), PkiStore(place.inputs), utc_now())
    if json:
        console.raw(dumps([as_plain(row) for row in rows], indent=2) + "\n")
    else:
        console.table(
            ("name", "subject", "SANs", "expires", "days", "in the repository", "on hosts"),
            (
                (
                    row.name,
                    row.subject,
                    " ".join(row.sans),
                    f"{row.not_after:%Y-%m-%d}",
                    f"{row.days_left}{' !' if row.warn else ''}",
                    row.file,
                    " ".join(f"{place.on}:{place.path}" for place in row.places),
                )
                for row in rows
            ),
        )
    warnings = expiry_warnings(rows)
    for warning in warnings:
        console.warn(warning)
    return 2 if warnings else 0


def as_plain(row: CertificateStatus) -> dict[str, Any]:
    """Return a certificate as JSON takes it; times in ISO 8601."""
    plain = asdict(row)
    plain["not_after"] = row.not_after.isoformat()
    return plain


namespace = Collection("certs", issue, list_)
