"""Signatures that some receivers of webhooks want: HMAC-SHA256 in base64, with the time, over a secret of both sides.

What differs between receivers is data: what the key is, what is signed, in which unit the time counts and where both
stand. They are always called `timestamp` and `sign`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Literal

_IN_QUERY = str.maketrans({"+": "%2B", "/": "%2F", "=": "%3D"})
"""What of base64 a query would read otherwise."""
_UNITS = {"seconds": 1, "milliseconds": 1000}


@dataclass(frozen=True, slots=True)
class Signing:
    """How a receiver wants messages signed; `key` and `message` hold {timestamp} and {secret}."""

    place: Literal["query", "body"]
    unit: Literal["seconds", "milliseconds"]
    key: str
    message: str


def signed(how: Signing, secret: str, url: str, body: bytes, now: float) -> tuple[str, bytes]:
    """Return address and JSON object of a message with its signature; `now` is in seconds since 1970.

    Receivers refuse a message whose time is more than an hour off, so it is signed where it is sent.
    """
    timestamp = str(int(now * _UNITS[how.unit]))
    key, message = (
        text.replace("{timestamp}", timestamp).replace("{secret}", secret).encode() for text in (how.key, how.message)
    )
    sign = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    if how.place == "body":
        said = {"timestamp": timestamp, "sign": sign}
        return url, json.dumps({**said, **json.loads(body)}, ensure_ascii=False).encode()
    address = url.partition("#")[0]
    return f"{address}{'&' if '?' in address else '?'}timestamp={timestamp}&sign={sign.translate(_IN_QUERY)}", body
