"""What the steps of a rotation ask of hosts and API: proof that the step before is live, the rewrite, old tokens.

Each function opens its own connections and closes them; nothing here changes a file of the workspace or a host.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.cluster_client import OperatorApi, open_cluster_api
from fleet.live import API_SERVER, CONTROL_PLANE, CONTROLLER_MANAGER, require_live, unit_flags
from fleet.rewrite import Rewritten, rewrite
from fleet.session import Session
from fleet.standing import Fleet, run_lock
from fleet.token_life import Left, Lives, lives, tokens_left
from fleet.tree import Host, RenderedTree
from generator.errors import RefusedError
from generator.formats.encryption_config import EncryptionConfig, encryption_config

ENCRYPTION_FILE = "/etc/kubernetes/encryption.yaml"
PKI_DIR = "/etc/kubernetes/pki"
Opener = Callable[[Fleet, Session], Awaitable[OperatorApi]]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a state file names: the one that leads, and all that API servers are to know, in any order."""

    lead: str
    known: tuple[str, ...]


async def operator_api(fleet: Fleet, session: Session) -> OperatorApi:
    """Return the API as the operator, over the connections of a session."""
    return await open_cluster_api(fleet.tree, fleet.cluster_dir, session.connect, fleet.options, fleet.identity)


async def prove_encryption(fleet: Fleet, keys: Keys, what: str) -> None:
    """Refuse `what` unless every API server reads with all keys and writes with the lead; raises RefusedError."""
    session = Session(fleet.tree, fleet.connector)
    try:
        await _prove_encryption(session, keys, what)
    finally:
        await session.close()


async def prove_service_account(fleet: Fleet, keys: Keys, what: str) -> None:
    """Refuse `what` unless all API servers check tokens with all keys, and all who sign do it with the lead."""
    session = Session(fleet.tree, fleet.connector)
    try:
        await _prove_service_account(session, keys, what)
    finally:
        await session.close()


def rendered_encryption(tree: RenderedTree) -> EncryptionConfig | None:
    """Return what encryption at rest is rendered, None where there is none; raises RefusedError for a spoilt file."""
    for host in tree.with_role(CONTROL_PLANE):
        item = host.by_key.get(ENCRYPTION_FILE)
        if item is not None:
            try:
                return encryption_config(item.content.decode("utf-8"))
            except ValueError as error:
                raise RefusedError(f"{tree.cluster}: {ENCRYPTION_FILE}: {error}; run `invoke render`") from None
    return None


async def rewrite_run(fleet: Fleet, keys: Keys, *, api: Opener = operator_api) -> Rewritten:
    """Write back all objects of the encrypted resources under the cluster's lock, and return the counts.

    Refused unless every API server writes with the lead; proved under the lock, which another run may have held until
    then, and once more after, since somebody may have changed a host by hand meanwhile. With `dry_run` objects are only
    counted. Raises RefusedError, LockError, ApiError.
    """
    config = rendered_encryption(fleet.tree)
    if config is None or not config.provider:
        raise RefusedError(
            f"{fleet.tree.cluster}: nothing is encrypted at rest, so nothing is written anew; set encryption.provider"
        )
    async with _opened(fleet, api) as (session, opened):
        what = "objects are written anew"

        def progress(text: str) -> None:
            fleet.reporter.event("note", text=text)

        async def proved(*, dry_run: bool) -> Rewritten:
            await _prove_encryption(session, keys, what)
            fleet.reporter.event("phase", phase="rewrite", title=f"objects of {', '.join(config.resources)}")
            return await rewrite(opened.api, config.resources, progress, dry_run=dry_run)

        if fleet.options.dry_run:
            return await proved(dry_run=True)
        async with run_lock(fleet, session) as lock:
            done = await proved(dry_run=False)
            # What another run may have changed in the meantime is not recorded as done.
            await lock.ensure()
            await _prove_encryption(session, keys, what)
            return done


async def tokens_run(
    fleet: Fleet, keys: Keys, since: datetime, recorded: Mapping[str, Any], *, api: Opener = operator_api
) -> Left:
    """Return which tokens of older keys may still be in use; `recorded` holds the lives allowed at the switch."""
    public = _signer_public(fleet.tree, keys)
    async with _opened(fleet, api) as (session, opened):
        await _prove_service_account(session, keys, "the old key is dropped")
        allowed = (Lives.recorded(recorded), token_lives(fleet.tree))
        return await tokens_left(opened.api, public, since, allowed)


def token_lives(tree: RenderedTree) -> Lives:
    """Return the longest lives that the rendered flags of all API servers allow."""
    return lives(unit_flags(host, API_SERVER) for host in tree.with_role(CONTROL_PLANE))


@asynccontextmanager
async def _opened(fleet: Fleet, api: Opener) -> AsyncIterator[tuple[Session, OperatorApi]]:
    session = Session(fleet.tree, fleet.connector)
    try:
        opened = await api(fleet, session)
        try:
            yield session, opened
        finally:
            await opened.close()
    finally:
        await session.close()


async def _prove_encryption(session: Session, keys: Keys, what: str) -> None:
    for host in session.tree.with_role(CONTROL_PLANE):
        flag = unit_flags(host, API_SERVER).get("encryption-provider-config", ())
        _require_own(session.tree, host, "encryption-provider-config", flag == (ENCRYPTION_FILE,))
    config = rendered_encryption(session.tree)
    if config is None or config.writer != keys.lead or set(config.keys) != set(keys.known):
        raise RefusedError(_other_keys(session.tree))
    await require_live(session, (ENCRYPTION_FILE,), (API_SERVER,), what)


async def _prove_service_account(session: Session, keys: Keys, what: str) -> None:
    public = {f"{PKI_DIR}/{name}.pub" for name in keys.known}
    private = f"{PKI_DIR}/{keys.lead}.key"
    for host in session.tree.with_role(CONTROL_PLANE):
        server, manager = unit_flags(host, API_SERVER), unit_flags(host, CONTROLLER_MANAGER)
        for name, fits in (
            ("service-account-key-file", set(server.get("service-account-key-file", ())) == public),
            ("service-account-signing-key-file", server.get("service-account-signing-key-file") == (private,)),
            ("service-account-private-key-file", manager.get("service-account-private-key-file") == (private,)),
        ):
            _require_own(session.tree, host, name, fits)
    await require_live(session, (*sorted(public), private), (API_SERVER, CONTROLLER_MANAGER), what)


def _require_own(tree: RenderedTree, host: Host, flag: str, fits: bool) -> None:
    if not fits:
        raise RefusedError(
            f"{tree.cluster}/{host.name}: --{flag} is not what the state of the rotation gives; where unsafeFlags set "
            "it, the keys are yours to rotate: take that out of the spec, or do without this verb"
        )


def _other_keys(tree: RenderedTree) -> str:
    return f"{tree.cluster}: the rendered {ENCRYPTION_FILE} has other keys than the state of the rotation; render again"


def _signer_public(tree: RenderedTree, keys: Keys) -> bytes:
    path = f"{PKI_DIR}/{keys.lead}.pub"
    for host in tree.with_role(CONTROL_PLANE):
        if path in host.by_key:
            return host.by_key[path].content
    raise RefusedError(f"{tree.cluster}: {path} is on no control-plane host as rendered; run `invoke render`")
