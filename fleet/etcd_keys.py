"""The keys that Kubernetes keeps in etcd, page by page and never a value: counted by resource, or listed.

etcdctl runs on an etcd host with the certificates that lie there, as the gates do. Pages are sorted ranges of one
revision, so that a store of a hundred thousand keys is read as it stood at one moment and no answer is large.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.connection import Connection, printable
from fleet.host_gates import etcdctl
from fleet.session import Session
from fleet.tree import RenderedTree
from generator.errors import HostError, RefusedError, WorkspaceError

ROOT = "/registry/"
"""Where Kubernetes keeps everything (kube-apiserver --etcd-prefix, /registry by default)."""
PAGE = 5000
"""Keys in one answer: about a megabyte."""
PAGE_SECONDS = 60
_PREFIX = re.compile(r"[!-}]+")
_TWO_PARTS = frozenset({"services"})
"""Folders below /registry that hold several resources: services/specs and services/endpoints."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some keys, sorted; `revision` is the store's at which all pages are read."""

    keys: tuple[str, ...]
    revision: int


def key_prefix(text: str) -> str:
    """Return the prefix that is meant: "secrets/" stands for "/registry/secrets/", "" for all.

    Raises RefusedError for one outside of /registry, and for what cannot be a key of Kubernetes.
    """
    if text.startswith("/"):
        if not f"{text}/".startswith(ROOT):
            raise RefusedError(
                f"--prefix {text}: only what Kubernetes keeps is listed, and all of it lies below /registry; "
                "write a prefix such as secrets/ or /registry/secrets/"
            )
        found = ROOT if text == ROOT.rstrip("/") else text
    else:
        found = ROOT + text
    if not _PREFIX.fullmatch(found):
        raise RefusedError(f"--prefix {printable(text)}: keys have plain letters, digits and signs without spaces")
    return found


def resource_of(key: str) -> str:
    """Return the resource of a key: "secrets" of /registry/secrets/default/x, a group's as "example.net/widgets"."""
    parts = key.removeprefix(ROOT).split("/")
    count = 2 if len(parts) > 1 and ("." in parts[0] or parts[0] in _TWO_PARTS) else 1
    return "/".join(parts[:count])


async def count_keys(session: Session, tree: RenderedTree, prefix: str = ROOT) -> Mapping[str, int]:
    """Return how many keys each resource has, by name. Raises HostError where no etcd host answers."""
    counts: Counter[str] = Counter()
    async for page in _pages(session, tree, prefix, limit=0):
        counts.update(resource_of(key) for key in page.keys)
    return dict(sorted(counts.items()))


async def list_keys(session: Session, tree: RenderedTree, prefix: str, limit: int) -> AsyncIterator[tuple[str, ...]]:
    """Yield sorted keys below a prefix as they come, `limit` at most (0: all). Raises HostError."""
    left = limit
    async for page in _pages(session, tree, prefix, limit=limit):
        keys = page.keys[:left] if limit else page.keys
        left -= len(keys)
        yield keys


async def _pages(session: Session, tree: RenderedTree, prefix: str, *, limit: int) -> AsyncIterator[Page]:
    connection, first, access = await _first_page(session, tree, prefix, limit)
    seen, page = len(first.keys), first
    yield page
    while len(page.keys) >= PAGE and (not limit or seen < limit):
        size = min(PAGE, limit - seen) if limit else PAGE
        # A range begins with its first key; the last one that was seen begins the next range and is left out of it.
        found = await _range(connection, access, tree, page.keys[-1], prefix, size + 1, first.revision)
        page = Page(tuple(key for key in found.keys if key != page.keys[-1]), first.revision)
        seen += len(page.keys)
        if page.keys:
            yield page
        if len(found.keys) <= size:
            return


async def _first_page(
    session: Session, tree: RenderedTree, prefix: str, limit: int
) -> tuple[Connection, Page, Mapping[str, Any]]:
    """Return the first page from the first etcd host that serves, with the connection to it."""
    access = _access(tree)
    faults: list[str] = []
    for host in tree.with_role("etcd"):
        try:
            connection = await session.connect(host.name)
            size = min(PAGE, limit) if limit else PAGE
            return connection, await _range(connection, access, tree, prefix, prefix, size, 0), access
        except HostError as error:
            faults.append(str(error))
    raise HostError("\n".join(faults), "")


def _access(tree: RenderedTree) -> Mapping[str, Any]:
    phase = tree.etcd_phase
    entries: Sequence[Mapping[str, Any]] = () if phase is None else (*phase.gates, *phase.before)
    for entry in entries:
        if "etcdctl" in entry:
            return entry
    raise WorkspaceError(f"{tree.cluster}: phases.yaml names no way into etcd; the cluster has no etcd of its own")


async def _range(
    connection: Connection, access: Mapping[str, Any], tree: RenderedTree, start: str, prefix: str, size: int, rev: int
) -> Page:
    words = ["get", start, end_of(prefix), "--keys-only", f"--limit={size}", "--write-out=json"]
    words += [f"--rev={rev}"] if rev else []
    words.append(f"--endpoints=https://127.0.0.1:{access['port']}")
    result = await connection.run(etcdctl(access, words), timeout=PAGE_SECONDS)
    where = f"{tree.cluster}/{connection.host}: etcd"
    if result.exit:
        reason = etcd_complaint(result.stderr) or result.complaint
        raise HostError(
            f"{where}: the keys cannot be read: {reason}; see `systemctl status etcd` there", connection.host
        )
    try:
        answer = json.loads(result.stdout)
        keys = tuple(base64.b64decode(one["key"]).decode("utf-8", "replace") for one in answer.get("kvs") or ())
        return Page(keys, int(answer["header"]["revision"]))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise HostError(
            f"{where}: the answer of etcdctl is not understood; look at the host", connection.host
        ) from None


def end_of(prefix: str) -> str:
    """Return the end of the range of all keys with a prefix: the prefix with its last letter one further."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def etcd_complaint(stderr: bytes) -> str:
    """Return the sentence in etcdctl's complaint, which may be a JSON line with much beside it; "" where none is."""
    for line in reversed(stderr.decode("utf-8", "replace").splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return printable(str(found.get("error") or found.get("msg") or ""))
    return ""
