"""Which service-account tokens of an older key can still be in use, and until when.

Three kinds of token exist, and each ends in another way:

- a Secret of type kubernetes.io/service-account-token holds one that never ends; its header names the key by its id
  (kid: unpadded base64url of the SHA-256 of the public key's DER, k8s.io/kubernetes pkg/serviceaccount/jwt.go);
- a pod's projected token lives for what the pod asks for, an hour by default, but for a year where the API server
  extends it (service-account-extend-token-expiration, on by default since 1.20; its own help says that the maximum is
  then passed over), and dies with its pod in any case (KEP-1205);
- a token that somebody asked for (TokenRequest, `kubectl create token`) lives for an hour by default, or for what was
  asked, up to service-account-max-token-expiration where that is set. It is recorded nowhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fleet.kube import Api, Object
from generator.errors import StaleTreeError
from generator.pki.keys import public_der

HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
INJECTED_SECONDS = 3607
"""What the token of every pod asks for that names nothing else; the API server knows its own by this number."""
LEGACY = "kubernetes.io/service-account-token"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")


@dataclass(frozen=True, slots=True)
class Lives:
    """How long tokens live by an API server's flags; `maximum` None where nobody limits what may be asked for."""

    extended: bool
    maximum: timedelta | None

    @property
    def requested(self) -> timedelta:
        """The longest life of a token that was asked for, as far as it can be known."""
        return max(HOUR, self.maximum or HOUR)

    def injected(self, seconds: int) -> timedelta:
        """Return the longest life of a pod's token that asks for some seconds."""
        asked = timedelta(seconds=seconds)
        capped = min(asked, self.maximum) if self.maximum else asked
        return YEAR if self.extended and capped == timedelta(seconds=INJECTED_SECONDS) else capped

    def record(self) -> dict[str, Any]:
        """Return it as a state file keeps it; a maximum of 0 means that there is none."""
        return {"extended": self.extended, "maximumSeconds": int((self.maximum or timedelta()).total_seconds())}

    @staticmethod
    def recorded(facts: Mapping[str, Any]) -> Lives:
        """Return what a state file has kept."""
        seconds = int(facts.get("maximumSeconds") or 0)
        return Lives(bool(facts.get("extended", True)), timedelta(seconds=seconds) if seconds else None)


@dataclass(frozen=True, slots=True)
class Left:
    """What may still need the older key: Secrets whose tokens never end, pods whose tokens live on, and until when.

    `requested_until` ends the tokens that anybody asked for. Names are namespace/name, sorted.
    """

    secrets: tuple[str, ...]
    pods: tuple[str, ...]
    pods_until: datetime
    requested_until: datetime


def lives(flags: Iterable[Mapping[str, Sequence[str]]]) -> Lives:
    """Return the longest lives that the flags of some API servers allow; raises StaleTreeError for a bad duration."""
    extended, maxima = False, []
    for one in flags:
        extended = extended or one.get("service-account-extend-token-expiration", ("true",))[-1] != "false"
        text = one.get("service-account-max-token-expiration", ("0",))[-1]
        maxima.append(duration(text))
    return Lives(extended, None if timedelta() in maxima or not maxima else max(maxima))


def duration(text: str) -> timedelta:
    """Return a duration as Go writes it (1h30m, 90s, 0); raises StaleTreeError for anything else."""
    if text == "0":
        return timedelta()
    parts = _PART.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        raise StaleTreeError(f"service-account-max-token-expiration={text}: this is no duration; write it as 24h")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


async def tokens_left(api: Api, signer_pem: bytes, since: datetime, allowed: Sequence[Lives]) -> Left:
    """Return what was signed before `since` by another key than the signer, and may still be in use.

    `signer_pem` is the public key with which all API servers sign since then. `allowed` holds the lives that flags
    allowed, then and now: a flag that changed since shortens no token. Values of Secrets are looked at in memory only.
    Raises ApiError.
    """
    kid = key_name(signer_pem)
    held = await api.list("v1", "Secret", fields=f"type={LEGACY}")
    secrets = [_name(secret) for secret in held if _signed_by_another(secret, kid)]
    pods, until = [], since
    for pod in await api.list("v1", "Pod"):
        asked = _projected(pod)
        if not asked or _created(pod) >= since:
            continue
        pods.append(_name(pod))
        until = max(until, since + max(one.injected(asked) for one in allowed))
    return Left(tuple(sorted(secrets)), tuple(sorted(pods)), until, since + max(one.requested for one in allowed))


def key_name(public_key: bytes) -> str:
    """Return the name that tokens carry for a public key (kid)."""
    digest = hashlib.sha256(public_der(load_pem_public_key(public_key))).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _signed_by_another(secret: Object, kid: str) -> bool:
    """Return whether a Secret holds a token of another key; one that is not made yet will be of the present one."""
    encoded = (secret.get("data") or {}).get("token", "")
    if not encoded:
        return False
    try:
        head = base64.b64decode(encoded).decode("ascii").partition(".")[0]
        found = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        return bool(found.get("kid") != kid)
    except (binascii.Error, UnicodeDecodeError, ValueError, AttributeError):
        return True


def _projected(pod: Object) -> int:
    """Return the seconds of the longest token that a pod has projected into it, 0 where it has none."""
    volumes = pod.get("spec", {}).get("volumes") or []
    sources = [source for volume in volumes for source in (volume.get("projected") or {}).get("sources") or []]
    tokens = [source["serviceAccountToken"] for source in sources if source.get("serviceAccountToken")]
    return max((int(token.get("expirationSeconds") or 3600) for token in tokens), default=0)


def _created(value: Object) -> datetime:
    return datetime.strptime(str(value["metadata"]["creationTimestamp"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _name(value: Object) -> str:
    return f"{value['metadata']['namespace']}/{value['metadata']['name']}"
