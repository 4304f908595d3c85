"""Verbs for certificates and what they need."""

from __future__ import annotations

import json

from invoke.collection import Collection
from invoke.context import Context

from generator.pki.issue import issue as issue_missing
from generator.pki.listing import certificate_list
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


@verb(name="list", help={"cluster": WHICH, "as-json": "one JSON list instead of a table"})
def list_(context: Context, cluster: str | None = None, as_json: bool = False) -> int:
    """List every certificate: subject, SANs, expiry, days left, where it lies; exit 2 where one is about to expire.

    Example: invoke certs.list --cluster prod
    """
    place = place_of(cluster)
    rows = certificate_list(load(place.root, place.cluster), PkiStore(place.inputs), utc_now())
    soon = [row for row in rows if row.warn]
    if as_json:
        console.raw(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
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
                    row.path,
                    " ".join(row.on_hosts),
                )
                for row in rows
            ),
        )
    for row in soon:
        console.warn(f"{row.name} ends in {row.days_left} days ({row.not_after:%Y-%m-%d})")
    return 2 if soon else 0


namespace = Collection("certs", issue, list_)
