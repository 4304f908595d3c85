"""Objects written back unchanged: every one of them, with its resourceVersion, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fleet.channel import Channel
from fleet.endpoints import direct_endpoint
from fleet.kube import Api
from fleet.rewrite import Rewritten, covered, rewrite
from fleet.tls import client_context
from generator.errors import ApiError, RefusedError
from tests.fleet.api_stand_in import Pki, Reply, Seen, stand_in

WRITABLE = ["get", "list", "update", "delete"]
DISCOVERY: dict[str, Any] = {
    "/api/v1": {
        "resources": [
            {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": WRITABLE},
            {"name": "secrets/status", "kind": "Secret", "namespaced": True, "verbs": WRITABLE},
            {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": WRITABLE},
            {"name": "componentstatuses", "kind": "ComponentStatus", "namespaced": False, "verbs": ["get", "list"]},
        ]
    },
    "/apis": {
        "groups": [
            {"name": "apps", "preferredVersion": {"groupVersion": "apps/v1"}},
            {"name": "metrics.k8s.io", "preferredVersion": {"groupVersion": "metrics.k8s.io/v1beta1"}},
        ]
    },
    "/apis/apps/v1": {
        "resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": WRITABLE}]
    },
    "/apis/apiregistration.k8s.io/v1": {
        "resources": [{"name": "apiservices", "kind": "APIService", "namespaced": False, "verbs": WRITABLE}]
    },
    "/apis/apiregistration.k8s.io/v1/apiservices": {
        "items": [
            {"metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1"}},
            {
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "service": {"name": "metrics-server"}},
            },
        ]
    },
}
VALUE = "dGhlIHZhbHVlIG9mIGEgc2VjcmV0"


class Store:
    """Secrets as an API server holds them; counts what was written, and does to requests what a test tells it."""

    def __init__(self, count: int, page: int = 4) -> None:
        self.page = page
        self.secrets = {
            f"s{n:03}": {
                "metadata": {"namespace": "default", "name": f"s{n:03}", "resourceVersion": "1"},
                "data": {"word": VALUE},
            }
            for n in range(count)
        }
        self.written: dict[str, int] = dict.fromkeys(self.secrets, 0)
        self.on_put: Callable[[str], Reply | None] = lambda _: None
        self.on_list: Callable[[dict[str, list[str]]], Reply | None] = lambda _: None

    def __call__(self, seen: Seen) -> Reply:
        path, query = urlsplit(seen.target).path, parse_qs(urlsplit(seen.target).query)
        if path in DISCOVERY:
            return json_reply(DISCOVERY[path])
        if path == "/api/v1/secrets":
            return self.on_list(query) or self._listed(query)
        name = path.rpartition("/")[2]
        assert path == f"/api/v1/namespaces/default/secrets/{name}", path
        if name not in self.secrets:
            return json_reply({"kind": "Status", "reason": "NotFound"}, 404)
        if seen.method == "GET":
            return json_reply({"apiVersion": "v1", "kind": "Secret", **self.secrets[name]})
        return self.on_put(name) or self._put(name, json.loads(seen.body))

    def _listed(self, query: dict[str, list[str]]) -> Reply:
        at = int(query.get("continue", ["0"])[0])
        names = [name for name in sorted(self.written)[at : at + self.page] if name in self.secrets]
        left = max(len(self.written) - at - self.page, 0)
        more = {"continue": str(at + self.page), "remainingItemCount": left} if left else {}
        return json_reply({"metadata": more, "items": [self.secrets[name] for name in names]})

    def _put(self, name: str, body: dict[str, Any]) -> Reply:
        assert (body["apiVersion"], body["kind"]) == ("v1", "Secret")
        if body["metadata"]["resourceVersion"] != self.secrets[name]["metadata"]["resourceVersion"]:
            return json_reply({"kind": "Status", "reason": "Conflict"}, 409)
        assert {key: body[key] for key in ("metadata", "data")} == self.secrets[name], "written back unchanged"
        self.written[name] += 1
        return json_reply(body)


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    yield []


@asynccontextmanager
async def api_of(pki: Pki, tmp_path: Path, store: Store) -> AsyncIterator[Api]:
    async with stand_in(pki.server_context(tmp_path), store) as running:
        context = client_context(pki.pem, pki.client("operator"))
        api = Api(Channel("demo", [direct_endpoint("127.0.0.1", running.port)], lambda: context), seconds=5)
        try:
            yield api
        finally:
            await api.close()


def run(pki: Pki, tmp_path: Path, store: Store, lines: list[str], *, dry_run: bool = False) -> Rewritten:
    async def all_of_it() -> Rewritten:
        async with api_of(pki, tmp_path, store) as api:
            return await rewrite(api, ["secrets"], lines.append, dry_run=dry_run)

    return asyncio.run(all_of_it())


def test_every_object_of_every_page_is_written_once(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(11)
    assert run(pki, tmp_path, store, lines) == Rewritten({"secrets": 11}, 0)
    assert set(store.written.values()) == {1}
    assert lines == ["secrets: 4 done, 7 to go", "secrets: 8 done, 3 to go", "secrets: 11 done"]


def test_a_dry_run_counts_and_writes_nothing(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(5)
    assert run(pki, tmp_path, store, lines, dry_run=True).total == 5
    assert set(store.written.values()) == {0}


def test_a_conflict_reads_again_and_one_that_is_gone_is_passed_over(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(6)

    def meanwhile(name: str) -> Reply | None:
        if name == "s001" and store.secrets[name]["metadata"]["resourceVersion"] == "1":
            store.secrets[name]["metadata"]["resourceVersion"] = "2"
        if name == "s002":
            store.secrets.pop(name, None)
            return json_reply({"kind": "Status", "reason": "NotFound"}, 404)
        return None

    store.on_put = meanwhile
    assert run(pki, tmp_path, store, lines) == Rewritten({"secrets": 5}, 1)
    assert store.written == {"s000": 1, "s001": 1, "s002": 0, "s003": 1, "s004": 1, "s005": 1}


def test_one_that_somebody_writes_all_the_time_lies_under_the_present_key(
    pki: Pki, tmp_path: Path, lines: list[str]
) -> None:
    store = Store(1)

    def busy(name: str) -> Reply | None:
        old = store.secrets[name]["metadata"]["resourceVersion"]
        store.secrets[name]["metadata"]["resourceVersion"] = str(int(old) + 1)
        return None

    store.on_put = busy
    assert run(pki, tmp_path, store, lines) == Rewritten({"secrets": 1}, 0)


def test_a_conflict_that_stays_without_a_newer_version_is_told(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(1)
    store.on_put = lambda _: json_reply({"kind": "Status", "reason": "Conflict"}, 409)
    with pytest.raises(RefusedError, match=r"did not take back 1 objects.*\n  Secret default/s000: HTTP status 409"):
        run(pki, tmp_path, store, lines)


def test_a_list_goes_on_when_its_token_has_expired(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(10)

    def expired(query: dict[str, list[str]]) -> Reply | None:
        if query.get("continue") == ["4"]:
            return json_reply({"kind": "Status", "reason": "Expired", "metadata": {"continue": "04"}}, 410)
        return None

    store.on_list = expired
    assert run(pki, tmp_path, store, lines).total == 10
    assert set(store.written.values()) == {1}


def test_what_the_api_does_not_take_back_is_named_without_its_value(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(3)

    def refuse(name: str) -> Reply | None:
        told = {"kind": "Status", "reason": "Invalid", "message": f"data.word: Invalid value: {VALUE}"}
        return json_reply(told, 422) if name == "s001" else None

    store.on_put = refuse
    with pytest.raises(RefusedError) as caught:
        run(pki, tmp_path, store, lines)
    text = str(caught.value)
    assert "  Secret default/s001: HTTP status 422 Invalid\n" in text and VALUE not in text
    assert store.written == {"s000": 1, "s001": 0, "s002": 1}, "the others are done all the same"


def test_credentials_that_do_not_hold_end_the_run(pki: Pki, tmp_path: Path, lines: list[str]) -> None:
    store = Store(3)
    store.on_put = lambda _: json_reply({"kind": "Status", "message": VALUE}, 401)
    with pytest.raises(ApiError, match="HTTP status 401") as caught:
        run(pki, tmp_path, store, lines)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "resources"),
    [
        (["secrets", "deployments.apps"], ["deployments.apps", "secrets"]),
        (["*."], ["configmaps", "secrets"]),
        (["*.apps"], ["deployments.apps"]),
        (["*.*"], ["configmaps", "deployments.apps", "secrets"]),
        (["widgets"], "it serves no widgets that can be written, which encryption[.]resources names"),
    ],
)
def test_entries_name_resources_groups_and_everything(
    pki: Pki, tmp_path: Path, entries: list[str], resources: list[str] | str
) -> None:
    async def names() -> list[str]:
        async with api_of(pki, tmp_path, Store(0)) as api:
            return [name for name, _ in await covered(api, entries)]

    if isinstance(resources, str):
        with pytest.raises(ApiError, match=resources):
            asyncio.run(names())
    else:
        assert asyncio.run(names()) == resources
