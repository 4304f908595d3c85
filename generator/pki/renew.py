"""Renewal of leaves: a new key and certificate for those that are chosen, signed by the CAs that are there.

Nothing but this replaces a certificate because of time. CAs are left alone: hosts trust them, and what they have
signed is good only with them. Each pair is written as an issue writes it (the old certificate goes first), so that a
renewal that is killed leaves whole pairs, and at worst a key without a certificate, which the next render makes.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from generator import sealing
from generator.errors import PkiError, RefusedError
from generator.pki.certificates import CA_NAMES, SERVICE_ACCOUNT, certificates
from generator.pki.issuing import Authority, authority, issue_leaf
from generator.pki.keys import key_id, key_pem, load_key, new_key
from generator.pki.request import Request
from generator.pki.store import PkiStore
from generator.pki.words import certificate_text
from generator.pki.writing import Changes
from generator.sealing import Identity, shown
from generator.spec.model import Cluster

RENEWED_BY_DAYS = 1
"""A CA that ends before its leaf would is worth a word when it takes more than this many days from the leaf."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which leaves are meant: of these kinds ("apiserver", "addons/typha") and these hosts, empty for all.

    `within_days` keeps those that end in fewer days than that, expired ones included; None keeps all.
    """

    kinds: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    within_days: int | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """One leaf that is renewed; `host` is None for one of an addon.

    `days_left` counts to the end of the old one: below 0 it had expired, None where there was none. `until` is
    the end of the new one and `key_id` its id; None and "" where nothing was written.
    """

    name: str
    host: str | None
    kind: str
    days_left: int | None
    until: datetime | None = None
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class RenewReport:
    """What a renewal did or would do, by host and kind; `notes` say where a CA cuts the new validity short."""

    renewed: tuple[Renewal, ...]
    notes: tuple[str, ...] = ()


def kind_of(request: Request) -> str:
    """Return the kind of a leaf: "apiserver" of "hosts/cp1/apiserver", "addons/typha" of itself."""
    return request.name if request.host is None else request.name.removeprefix(f"hosts/{request.host}/")


def leaves_to_renew(cluster: Cluster, store: PkiStore, choice: Choice, now: datetime) -> tuple[Renewal, ...]:
    """Return the leaves that a choice means, those of addons first, then by host and kind; changes and opens nothing.

    Raises RefusedError for a certificate authority and for a kind or host that there is none of, with those there are.
    """
    leaves = [request for request in certificates(cluster) if not request.is_ca]
    _require_known(cluster, choice, {kind_of(request) for request in leaves})
    found: list[Renewal] = []
    for request in leaves:
        kind = kind_of(request)
        if (choice.kinds and kind not in choice.kinds) or (choice.hosts and request.host not in choice.hosts):
            continue
        there = store.has(request.name)
        days = (store.chain(request.name)[0].not_valid_after_utc - now).days if there else None
        if choice.within_days is None or days is None or days < choice.within_days:
            found.append(Renewal(request.name, request.host, kind, days))
    return tuple(sorted(found, key=lambda one: (one.host or "", one.kind)))


def renew(
    cluster: Cluster,
    cluster_dir: Path,
    choice: Choice,
    *,
    clock: Callable[[], datetime],
    identity: Callable[[], Identity] | None = None,
) -> RenewReport:
    """Give the chosen leaves a new key and certificate in clusters/<c>/pki, and say what was renewed.

    `clock` gives the moment of issuance (aware, read once). `identity` opens the keys of the CAs that sign, each once;
    where nothing is chosen nobody is asked. Raises RefusedError, PkiError and SealingError; then nothing was changed.
    """
    now, store = clock(), PkiStore(cluster_dir)
    chosen = leaves_to_renew(cluster, store, choice, now)
    if not chosen:
        return RenewReport(())
    requests = {request.name: request for request in certificates(cluster)}
    recipients = sealing.cluster_recipients(cluster_dir)
    who = functools.cache(identity or sealing.identity_once())
    signers: dict[str, Authority] = {}
    for name in sorted({requests[one.name].issuer for one in chosen}):
        signers[name] = _signer(store, name, who(), now)
    changes, renewed = Changes(), []
    for one in chosen:
        request = requests[one.name]
        key = new_key(request.algorithm)
        certificate = issue_leaf(request, key, signers[request.issuer], now)
        changes.replace_pair(
            store.key_path(request.name),
            sealing.seal(key_pem(key), recipients),
            store.path(request.name),
            certificate_text(certificate),
        )
        renewed.append(
            Renewal(one.name, one.host, one.kind, one.days_left, certificate.not_valid_after_utc, key_id(key))
        )
    notes = tuple(_cut_short((requests[one.name] for one in chosen), signers, now))
    changes.write()
    return RenewReport(tuple(renewed), notes)


def _require_known(cluster: Cluster, choice: Choice, kinds: Collection[str]) -> None:
    for kind in sorted(choice.kinds):
        if kind in CA_NAMES:
            raise RefusedError(
                f"{cluster.name}: {kind} is a certificate authority and is not renewed: hosts trust it, and everything "
                "that it has signed would be void with another; renew the leaves below it"
            )
        if kind == SERVICE_ACCOUNT:
            raise RefusedError(
                f"{cluster.name}: {kind} is a key without a certificate, so it never ends; leaves are "
                f"{', '.join(sorted(kinds))}"
            )
        if kind not in kinds:
            raise RefusedError(f"{cluster.name}: it has no leaf {kind}{_nearest(kind, kinds)}")
    named = {host.name for host in cluster.hosts}
    for host in sorted(choice.hosts):
        if host not in named:
            raise RefusedError(f"{cluster.name}: there is no host {host}{_nearest(host, named)}")


def _nearest(word: str, words: Collection[str]) -> str:
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(words))}"


def _signer(store: PkiStore, name: str, identity: Identity, now: datetime) -> Authority:
    path = store.key_path(name)
    if not store.has(name):
        raise PkiError(f"{shown(store.path(name))}: there is no such certificate authority; run `invoke certs.issue`")
    return authority(name, store.chain(name), load_key(sealing.unseal_file(path, identity), shown(path)), now)


def _cut_short(requests: Iterable[Request], signers: dict[str, Authority], now: datetime) -> Iterable[str]:
    for name, days in sorted({(request.issuer, request.days) for request in requests}):
        left = (signers[name].end - now).days
        if left + RENEWED_BY_DAYS < days:
            yield (
                f"the certificate authority {name} ends on {signers[name].end:%Y-%m-%d}, and with it what it signs: "
                f"{left} days instead of {days}"
            )
