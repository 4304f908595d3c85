"""Which tokens of an older key may still be in use: Secrets by the key in their header, pods by age, others by time."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fleet.channel import Channel
from fleet.endpoints import direct_endpoint
from fleet.kube import Api
from fleet.tls import client_context
from fleet.token_life import HOUR, YEAR, Left, Lives, duration, key_name, lives, tokens_left
from generator.errors import StaleTreeError
from generator.pki.keys import new_key, public_pem
from tests.fleet.api_stand_in import Pki, Reply, Seen, stand_in

SINCE = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
KINDS = [
    {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["list"]},
    {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]},
]


def token(kid: str | None) -> str:
    """Return what a Secret holds: a token whose header names a key, or none."""
    head = json.dumps({"alg": "ES256", **({"kid": kid} if kid else {})}).encode()
    word = base64.urlsafe_b64encode(head).rstrip(b"=") + b".e30.c2ln"
    return base64.b64encode(word).decode()


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"namespace": "app", "name": name}, "data": data}


def pod(name: str, age: timedelta, seconds: int | None) -> dict[str, Any]:
    created = (SINCE - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    asks = {"path": "token", **({"expirationSeconds": seconds} if seconds else {})}
    sources = [{"configMap": {"name": "kube-root-ca.crt"}}, {"serviceAccountToken": asks}]
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "access", "projected": {"sources": sources}}]
    return {
        "metadata": {"namespace": "app", "name": name, "creationTimestamp": created},
        "spec": {"volumes": volumes if seconds is not None else volumes[:1]},
    }


def left(tmp_path: Path, signer: bytes, secrets: list[Any], pods: list[Any], *allowed: Lives) -> Left:
    def answer(seen: Seen) -> Reply:
        path, query = urlsplit(seen.target).path, parse_qs(urlsplit(seen.target).query)
        if path == "/api/v1":
            return Reply(body=json.dumps({"resources": KINDS}).encode())
        if path == "/api/v1/secrets":
            assert query["fieldSelector"] == ["type=kubernetes.io/service-account-token"]
            return Reply(body=json.dumps({"items": secrets}).encode())
        assert path == "/api/v1/pods"
        return Reply(body=json.dumps({"items": pods}).encode())

    async def ask() -> Left:
        pki = Pki()
        async with stand_in(pki.server_context(tmp_path), answer) as running:
            context = client_context(pki.pem, pki.client("operator"))
            api = Api(Channel("demo", [direct_endpoint("127.0.0.1", running.port)], lambda: context), seconds=5)
            try:
                return await tokens_left(api, signer, SINCE, allowed)
            finally:
                await api.close()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def keys() -> tuple[bytes, bytes]:
    """Two public keys in PEM, the one that signs first, with words above as in the repository."""
    made = [public_pem(new_key("ecdsa-p256")) for _ in range(2)]
    return f"key: sa-2\n\n{made[0]}".encode(), made[1].encode()


USUAL = Lives(extended=True, maximum=None)


def test_secrets_with_tokens_of_another_key_are_named(tmp_path: Path, keys: tuple[bytes, bytes]) -> None:
    new, old = map(key_name, keys)
    held = [
        secret("old", {"token": token(old)}),
        secret("new", {"token": token(new)}),
        secret("nameless", {"token": token(None)}),
        secret("empty", {}),
        secret("odd", {"token": "!!"}),
        secret("odder", {"token": base64.b64encode(b"\xff\xfe").decode()}),
    ]
    found = left(tmp_path, keys[0], held, [], USUAL)
    assert found.secrets == ("app/nameless", "app/odd", "app/odder", "app/old")
    assert (found.pods, found.requested_until) == ((), SINCE + HOUR)


def test_pods_older_than_the_switch_hold_their_tokens(tmp_path: Path, keys: tuple[bytes, bytes]) -> None:
    day = timedelta(days=1)
    pods = [pod("old", day, 3607), pod("new", -day, 3607), pod("none", day, None)]
    found = left(tmp_path, keys[0], [], pods, USUAL)
    assert (found.pods, found.pods_until) == (("app/old",), SINCE + YEAR)
    short = Lives(extended=False, maximum=None)
    assert left(tmp_path, keys[0], [], pods, short).pods_until == SINCE + timedelta(seconds=3607)
    assert left(tmp_path, keys[0], [], pods, USUAL, short).pods_until == SINCE + YEAR, "flags shorten no token"
    long = [pod("long", day, 40 * 86400)]
    assert left(tmp_path, keys[0], [], long, USUAL).pods_until == SINCE + timedelta(days=40)
    capped = Lives(extended=True, maximum=timedelta(days=7))
    assert left(tmp_path, keys[0], [], long, capped).pods_until == SINCE + timedelta(days=7)
    assert left(tmp_path, keys[0], [], [], capped).requested_until == SINCE + timedelta(days=7)


def test_flags_tell_the_longest_lives() -> None:
    assert lives([{}]) == USUAL
    flag = "service-account-max-token-expiration"
    assert lives([{flag: ("24h",)}, {flag: ("48h0m0s",)}]) == Lives(True, timedelta(days=2))
    assert lives([{flag: ("24h",)}, {}]) == USUAL, "one server without a maximum limits nobody"
    off = {"service-account-extend-token-expiration": ("false",)}
    assert lives([off]) == Lives(False, None) and lives([off, {}]) == USUAL


def test_lives_come_back_from_a_state_file() -> None:
    for one in (USUAL, Lives(False, timedelta(hours=30))):
        assert Lives.recorded(one.record()) == one
    assert Lives.recorded({}) == USUAL, "what is not recorded is taken as the longer"


def test_durations_are_those_of_go() -> None:
    assert duration("1h30m") == timedelta(hours=1.5) and duration("90s") == timedelta(seconds=90)
    assert duration("0") == timedelta() and duration("1.5h") == timedelta(hours=1.5)
    for wrong in ("", "3600", "1 h", "1d", "-1h"):
        with pytest.raises(StaleTreeError, match="this is no duration; write it as 24h"):
            duration(wrong)
