"""Passwords that programs of one cluster share, and that nobody ever types: made when they are first wanted."""

from __future__ import annotations

import secrets
import string

from generator.spec.model import Cluster

VRRP = "vrrp/password"
_LETTERS = string.ascii_letters + string.digits
_LENGTH = 8
"""What VRRP version 2 has room for (RFC 2338, 5.3.10); keepalived cuts off what is longer."""


def wanted_passwords(cluster: Cluster) -> tuple[str, ...]:
    """Return the names of the passwords that hosts of a cluster need."""
    return (VRRP,) if cluster.api.vip is not None and cluster.api.vip.has_password else ()


def new_password() -> bytes:
    """Return a new password of letters and digits, which every program takes as it stands."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)).encode()
