"""Keys of etcd: what is asked, page by page. What a real etcd answers is seen in the lab (tests/lab)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet import etcd_keys
from fleet.connection import Input, Result
from fleet.etcd_keys import count_keys, etcd_complaint, key_prefix, list_keys, resource_of
from fleet.session import Session
from fleet.tree import Host, RenderedTree
from generator.errors import HostError, RefusedError, WorkspaceError
from tests.fleet.small_tree import PHASES, write_tree

ACCESS = {
    "kind": "etcd-health",
    "etcdctl": "/usr/local/bin/etcdctl",
    "port": 2379,
    "cacert": "/ca",
    "cert": "/c",
    "key": "/k",
}
FORMATION = {"unit": "etcd.service", "data": "/var/lib/etcd", "mark": "/var/lib/slipway/etcd-formed"}


class Store:
    """Answers as etcdctl 3.4 does to a range request with --keys-only and --write-out=json."""

    def __init__(self, host: str, keys: Sequence[str], complaint: str = "") -> None:
        self.host = host
        self.keys = sorted(keys)
        self.complaint = complaint
        self.asked: list[list[str]] = []

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        words = list(argv)
        assert words[:3] == ["env", "ETCDCTL_API=3", "/usr/local/bin/etcdctl"]
        assert {"--keys-only", "--write-out=json", "--endpoints=https://127.0.0.1:2379"} <= set(words)
        start, end = words[words.index("get") + 1 :][:2]
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
        self.asked.append([start, end, options["limit"], options.get("rev", "")])
        if self.complaint:
            return Result(1, b"", self.complaint.encode())
        found = [key for key in self.keys if start <= key < end]
        some = found[: int(options["limit"])]
        kvs = [{"key": base64.b64encode(key.encode()).decode(), "version": 1} for key in some]
        answer = {"header": {"revision": 77}, "kvs": kvs, "more": len(found) > len(some), "count": len(found)}
        return Result(0, json.dumps(answer).encode(), b"")

    async def open_tcp(self, address: str, port: int) -> Any:
        raise AssertionError("nothing here opens a connection")

    async def close(self) -> None:
        return


def tree(folder: Path, phases: Sequence[dict[str, Any]] | None = None) -> RenderedTree:
    etcd = {"name": "etcd", "title": "etcd", "batch": "one", "formation": FORMATION, "gates": [ACCESS]}
    hosts = {f"n{n}": {"pool": "workers", "address": f"10.0.0.{n}", "node": f"n{n}"} for n in (1, 2)}
    return write_tree(folder, hosts=hosts, phases=[*(phases or [*PHASES, etcd])])


def run(folder: Path, work: Any, stores: dict[str, Store]) -> Any:
    made = tree(folder)

    async def connect(host: Host) -> Any:
        return stores[host.name]

    async def main() -> Any:
        session = Session(made, connect)
        try:
            return await work(session, made)
        finally:
            await session.close()

    return asyncio.run(main())


async def gathered(session: Session, made: RenderedTree, prefix: str, limit: int) -> list[str]:
    return [key async for some in list_keys(session, made, prefix, limit) for key in some]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21, 95])
def test_every_key_comes_once_and_no_answer_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(etcd_keys, "PAGE", 10)
    keys = [f"/registry/pods/default/p{n:03}" for n in range(count)]
    store = Store("n1", [*keys, "/registry/secrets/default/s", "/registryother"])
    found = run(tmp_path, lambda session, made: gathered(session, made, "/registry/pods/", 0), {"n1": store})
    assert found == keys
    assert all(int(limit) <= 11 for _, _, limit, _ in store.asked)
    assert len(store.asked) <= count // 10 + 2
    assert {rev for *_, rev in store.asked[1:]} <= {"77"}, "all pages are of one revision"


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 25, 30])
def test_a_limit_ends_the_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(etcd_keys, "PAGE", 10)
    keys = [f"/registry/pods/default/p{n:03}" for n in range(95)]
    store = Store("n1", keys)
    found = run(tmp_path, lambda session, made: gathered(session, made, "/registry/", limit), {"n1": store})
    assert found == keys[:limit]
    assert len(store.asked) == -(-limit // 10)


def test_keys_are_counted_by_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_keys, "PAGE", 2)
    keys = [
        "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.net",
        "/registry/example.net/widgets/default/w",
        "/registry/health",
        "/registry/pods/a/b",
        "/registry/pods/a/c",
        "/registry/pods/b/c",
        "/registry/services/endpoints/default/kubernetes",
        "/registry/services/specs/default/kubernetes",
    ]
    assert run(tmp_path, count_keys, {"n1": Store("n1", keys)}) == {
        "apiextensions.k8s.io/customresourcedefinitions": 1,
        "example.net/widgets": 1,
        "health": 1,
        "pods": 3,
        "services/endpoints": 1,
        "services/specs": 1,
    }
    assert resource_of("/registry/") == ""


def test_the_next_member_is_asked_and_all_reasons_are_named(tmp_path: Path) -> None:
    # What etcdctl 3.4 says where nobody serves.
    words = '{"level":"warn","msg":"retrying failed","error":"rpc error: code = DeadlineExceeded"}\nError: x'
    stores = {"n1": Store("n1", [], words), "n2": Store("n2", ["/registry/pods/a/b"])}
    assert run(tmp_path, count_keys, stores) == {"pods": 1}
    stores["n2"].complaint = "Error: context deadline exceeded"
    with pytest.raises(HostError) as raised:
        run(tmp_path, count_keys, stores)
    assert str(raised.value).splitlines() == [
        "demo/n1: etcd: the keys cannot be read: rpc error: code = DeadlineExceeded; see `systemctl status etcd` there",
        "demo/n2: etcd: the keys cannot be read: Error: context deadline exceeded; see `systemctl status etcd` there",
    ]
    assert etcd_complaint(b"no json") == ""


def test_a_cluster_without_etcd_says_so(tmp_path: Path) -> None:
    made = tree(tmp_path, PHASES)
    with pytest.raises(WorkspaceError, match="the cluster has no etcd of its own"):
        asyncio.run(count_keys(Session(made, None), made))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", "/registry/"),
        ("secrets/", "/registry/secrets/"),
        ("/registry", "/registry/"),
        ("/registry/pods/x", "/registry/pods/x"),
    ],
)
def test_a_prefix_lies_below_registry(text: str, prefix: str) -> None:
    assert key_prefix(text) == prefix


@pytest.mark.parametrize("text", ["/", "/other", "/registryother/", "pods/\x1b[2J", "a b", "ü", "~"])
def test_another_prefix_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match=r"--prefix [^\x1b]*: (only what Kubernetes keeps|keys have plain letters)"):
        key_prefix(text)
