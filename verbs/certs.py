"""Verbs for certificates and what they need."""

from __future__ import annotations

from json import dumps
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from generator.errors import RefusedError
from generator.pki.certificates import ADDON_LEAVES
from generator.pki.issue import issue as issue_missing
from generator.pki.listing import CertificateStatus, certificate_list, expiry_warnings
from generator.pki.renew import Choice, Renewal, RenewReport, leaves_to_renew
from generator.pki.renew import renew as renew_leaves
from generator.pki.store import PkiStore
from generator.sealing import identity_once
from generator.spec import load
from verbs import console
from verbs.host_options import words
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


@verb(name="list", help={"cluster": WHICH, "json": "one JSON list instead of a table; docs/json.md has its keys"})
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


@verb(
    name="renew",
    help={
        "cluster": WHICH,
        "kind": "only these kinds, separated by commas: apiserver, etcd/peer, addons/metrics-server, …",
        "host": "only these hosts, separated by commas",
        "expiring": "only what ends within the spec's pki.warnBefore",
        "days": "only what ends within this many days",
        "dry-run": "list what would be renewed and write nothing; exit 2 where there is anything",
        "json": "one JSON list instead of text; docs/json.md has its keys",
    },
)
def renew(
    context: Context,
    cluster: str | None = None,
    kind: str | None = None,
    host: str | None = None,
    expiring: bool = False,
    days: int = 0,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Give leaf certificates a new key and a new validity; render, review and apply then bring them to the hosts.

    Example: invoke certs.renew --cluster prod --expiring
    """
    if days < 0:
        raise RefusedError(f"--days {days}: give the number of days within which a certificate ends, 1 or more")
    place = place_of(cluster)
    model = load(place.root, place.cluster)
    within = days or (model.pki.warn_days if expiring else None)
    choice = Choice(frozenset(words(kind)), frozenset(words(host)), within)
    if dry_run:
        report = RenewReport(leaves_to_renew(model, PkiStore(place.inputs), choice, utc_now()))
    else:
        report = renew_leaves(model, place.inputs, choice, clock=utc_now, identity=identity_once())
    if json:
        console.raw(dumps([renewal_as_plain(one) for one in report.renewed], indent=2) + "\n")
    else:
        print_renewed(place.cluster, report, dry_run=dry_run)
    return 2 if dry_run and report.renewed else 0


def print_renewed(cluster: str, report: RenewReport, *, dry_run: bool) -> None:
    """Print what was renewed, and how it comes to the hosts."""
    if not report.renewed:
        console.say(f"{cluster}: nothing to renew")
        return
    for one in report.renewed:
        ended = "it was not there" if one.days_left is None else ended_words(one.days_left)
        until = f", the new one ends on {one.until:%Y-%m-%d}, id {one.key_id}" if one.until else ""
        console.say(f"{'would renew' if dry_run else 'renewed'} {one.name}: {ended}{until}")
    for note in report.notes:
        console.warn(note)
    order = [
        name
        for name, kinds in (
            ("etcd hosts", "etcd/"),
            ("the control plane", ""),
            ("kube-proxy on the nodes", "kube-proxy"),
        )
        if any(rolled_with(one.kind) == kinds for one in report.renewed)
    ]
    hosts = (
        f"rolls {', then '.join(order)}, one host at a time with a gate after each; the programs read the new files by "
        "themselves, nothing restarts"
    )
    addons = "fills the Secrets of the addons and replaces the pods that use them"
    does = [hosts] * bool(order) + [addons] * any(rolled_with(one.kind) == ADDON_LEAVES for one in report.renewed)
    console.say(
        f"{len(report.renewed)} {'would be renewed' if dry_run else 'renewed'}; nothing runs with it yet: "
        f"`invoke render`, review, commit, `invoke apply`, which {'; it '.join(does)}"
    )


def rolled_with(kind: str) -> str:
    """Return with what a kind of leaf is rolled: "etcd/", "kube-proxy", "addons/", or "" for the control plane."""
    for prefix in ("etcd/", "kube-proxy", ADDON_LEAVES):
        if kind.startswith(prefix):
            return prefix
    return ""


def ended_words(days_left: int) -> str:
    """Return how long the old certificate lasts, in words."""
    return "expired" if days_left < 0 else f"{days_left} days were left"


def renewal_as_plain(one: Renewal) -> dict[str, Any]:
    """Return a renewal as JSON takes it; times in ISO 8601, keys as docs/json has them."""
    return {
        "name": one.name,
        "host": one.host,
        "kind": one.kind,
        "daysLeft": one.days_left,
        "until": one.until.isoformat() if one.until else None,
        "keyId": one.key_id,
    }


def as_plain(row: CertificateStatus) -> dict[str, Any]:
    """Return a certificate as JSON takes it; times in ISO 8601, keys as docs/json has them."""
    return {
        "name": row.name,
        "subject": row.subject,
        "sans": list(row.sans),
        "usages": list(row.usages),
        "issuer": row.issuer,
        "notAfter": row.not_after.isoformat(),
        "daysLeft": row.days_left,
        "warn": row.warn,
        "fingerprint": row.fingerprint,
        "keyId": row.key_id,
        "file": row.file,
        "places": [{"path": one.path, "on": one.on, "keyPath": one.key_path} for one in row.places],
    }


namespace = Collection("certs", issue, list_, renew)
