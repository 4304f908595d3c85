"""What certificates a cluster has and how long they last: for `certs.list`, and for warnings of other verbs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from generator.pki.certificates import CA_NAMES, certificates
from generator.pki.request import Place, subject_text
from generator.pki.store import PkiStore
from generator.pki.words import attributes, fingerprint, names, usages
from generator.sealing import shown
from generator.spec.model import Cluster


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """One certificate as it lies in the store. Days are whole and count down to 0; below 0 it has expired.

    `file` is its path from clusters/ on, `places` where it goes on hosts. `warn` says that fewer days are left than
    the spec's warnBefore. With an external CA the end is the earliest of the chain.
    """

    name: str
    subject: str
    sans: tuple[str, ...]
    usages: tuple[str, ...]
    issuer: str
    not_after: datetime
    days_left: int
    warn: bool
    fingerprint: str
    key_id: str
    file: str
    places: tuple[Place, ...]

    @property
    def expired(self) -> bool:
        """Whether the certificate is past its end."""
        return self.days_left < 0


def certificate_list(cluster: Cluster, store: PkiStore, now: datetime) -> tuple[CertificateStatus, ...]:
    """Return all certificates of a cluster, CAs first, then leaves by host and name.

    Opens nothing sealed. Raises RenderError for one that was not issued, PkiError for one that cannot be read.
    """
    found: list[CertificateStatus] = []
    for request in certificates(cluster):
        chain = store.chain(request.name)
        own = chain[0]
        end = min(item.not_valid_after_utc for item in chain)
        days = (end - now).days
        found.append(
            CertificateStatus(
                name=request.name,
                subject=subject_text(attributes(own.subject)),
                sans=names(own),
                usages=usages(own),
                issuer=subject_text(attributes(own.issuer)),
                not_after=end,
                days_left=days,
                warn=days < cluster.pki.warn_days,
                fingerprint=fingerprint(own),
                key_id=store.key_id(request.name),
                file=shown(store.path(request.name)),
                places=request.places,
            )
        )
    return tuple(found)


def expiry_warnings(statuses: Iterable[CertificateStatus]) -> tuple[str, ...]:
    """Return one line for each certificate near or past its end: where it is, how long it lasts, what to do."""
    lines: list[str] = []
    for status in statuses:
        if status.warn:
            ends = "expired on" if status.expired else f"{status.days_left} days left, ends on"
            lines.append(f"{status.file}: {ends} {status.not_after:%Y-%m-%d}; {_cure(status)}, render and apply")
    return tuple(lines)


def _cure(status: CertificateStatus) -> str:
    # A CA whose certificate is made anew for the key that it has stays the signer of all that it has signed.
    return "remove this file" if status.name in CA_NAMES else "run `invoke certs.renew --expiring`"
