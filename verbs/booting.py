"""Verbs for hosts that are made: their user-data for cloud-init, and a seed with it for machines without a cloud."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from invoke.context import Context

from fleet import seed as seeds
from fleet.cluster_client import open_cluster_api
from fleet.options import Options
from fleet.private_file import write_private
from fleet.session import Session
from fleet.standing import ssh_fleet
from fleet.tree import Host, RenderedTree
from fleet.tree import load as load_tree
from fleet.user_data import LIFETIME, join_part, user_data
from generator.errors import RefusedError
from generator.formats.cloud_config import Form, formed, sizes
from generator.render.user_data import form_for
from generator.sealing import identity_once
from generator.spec import load
from generator.spec.clouds import TARGETS
from generator.spec.structure import suggestion
from verbs import console
from verbs.rendering import WHICH, require_current
from verbs.running import STALE_OK
from verbs.verb import verb
from verbs.workspace import Place, place_of

_MINUTES = int(LIFETIME.total_seconds() // 60)
HOST = "which host"
JOIN = "put a bootstrap token in, by which a worker joins by itself; the file is then a secret until the token ends"
TOKEN_MINUTES = f"how long the token lives, {_MINUTES} by default: longer than from now to the end of the first boot"
KUBECONFIG = "make the token with this kubeconfig instead of a certificate signed for it"


@verb(
    name="user-data",
    help={
        "host": HOST,
        "cluster": WHICH,
        "out": "write here with mode 0600; else to standard output",
        "target": "in the form for this place alone, such as aws; else for all targets of the host's pool",
        "join-token": JOIN,
        "token-minutes": TOKEN_MINUTES,
        "kubeconfig": KUBECONFIG,
        "stale-ok": STALE_OK,
    },
)
def show_user_data(
    context: Context,
    host: str,
    cluster: str | None = None,
    out: str | None = None,
    target: str | None = None,
    join_token: bool = False,
    token_minutes: int = _MINUTES,
    kubeconfig: str | None = None,
    stale_ok: bool = False,
) -> None:
    """Put a host's user-data for cloud-init together, in a form that its place takes.

    Example: invoke user-data --cluster prod --host worker-001 --out /tmp/worker-001
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    path = _outside(place, out, join_token)
    text, names = _text(place, host, join_token, token_minutes, kubeconfig)
    form, told = _form(place, host, text, _targets(names, target))
    content = formed(text, form)
    if path is None:
        if form == "gzip":
            raise RefusedError(f"{told}; it is binary: write it to a file with --out FILE")
        console.raw(content.decode())
        console.tell(told)
        return
    write_private(path, content)
    console.say(f"{path} (mode 0600): {told}")


@verb(
    name="seed",
    help={
        "host": HOST,
        "out": "the ISO image to write, with mode 0600",
        "cluster": WHICH,
        "network-config": "a network-config of version 1 or 2 to put in; else the image's own way, mostly DHCP",
        "join-token": JOIN,
        "token-minutes": TOKEN_MINUTES,
        "kubeconfig": KUBECONFIG,
        "stale-ok": STALE_OK,
    },
)
def seed(
    context: Context,
    host: str,
    out: str,
    cluster: str | None = None,
    network_config: str | None = None,
    join_token: bool = False,
    token_minutes: int = _MINUTES,
    kubeconfig: str | None = None,
    stale_ok: bool = False,
) -> None:
    """Write a NoCloud ISO image with a host's user-data, for machines that no cloud tells what they are.

    Example: invoke seed --cluster prod --host worker-001 --out /tmp/worker-001.iso
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    path = _outside(place, out, join_token)
    assert path is not None
    network = None
    if network_config is not None:
        try:
            network = Path(network_config).expanduser().read_bytes()
        except OSError as error:
            raise RefusedError(f"--network-config {network_config}: {error.strerror}; name a file to read") from None
    text, _ = _text(place, host, join_token, token_minutes, kubeconfig)
    files = seeds.seed_files(place.cluster, host, text.encode(), network)
    write_private(path, seeds.iso(files))
    console.say(
        f"{path} (mode 0600): label {seeds.LABEL}, {', '.join(sorted(files))}; user-data {len(text.encode()):,} bytes"
    )


def _text(
    place: Place, name: str, join_token: bool, minutes: int, kubeconfig: str | None
) -> tuple[str, tuple[str, ...]]:
    """Return a host's user-data and the targets of its pool."""
    tree = load_tree(place.rendered)
    if name not in tree.hosts:
        raise RefusedError(
            f"{place.cluster}: no host {name}; {suggestion(name, tree.hosts, 'see hosts in cluster.yaml')}"
        )
    host = tree.hosts[name]
    pool = load(place.root, place.cluster).pools[host.pool.name]
    names = pool.cloud_init.targets if pool.cloud_init is not None else ()
    if not join_token:
        return user_data(tree, host), names
    return asyncio.run(_joining(place, tree, host, timedelta(minutes=minutes), kubeconfig)), names


async def _joining(place: Place, tree: RenderedTree, host: Host, lifetime: timedelta, kubeconfig: str | None) -> str:
    options = Options(kubeconfig=Path(kubeconfig).expanduser() if kubeconfig else None, command="invoke user-data")
    session = Session(tree, ssh_fleet(tree, place.inputs).connect)
    client = await open_cluster_api(tree, place.inputs, session.connect, options, identity_once())
    try:
        return user_data(tree, host, await join_part(client.api, tree, host, lifetime=lifetime))
    finally:
        await client.close()
        await session.close()


def _targets(names: tuple[str, ...], only: str | None) -> tuple[str, ...]:
    if only is None:
        return names
    if only not in TARGETS:
        raise RefusedError(f"--target {only}: {suggestion(only, TARGETS, f'known are {chr(44).join(TARGETS)}')}")
    return (only,)


def _form(place: Place, host: str, text: str, names: tuple[str, ...]) -> tuple[Form, str]:
    """Return the form that all targets take, and words about its size; raises RefusedError where there is none."""
    found = sizes(text)
    form = form_for([TARGETS[name] for name in names], found)
    limits = ", ".join(f"{name} takes {TARGETS[name].limit:,}" for name in names if TARGETS[name].limit) or "no limit"
    told = f"{found['plain']:,} bytes, {found['gzip']:,} as gzip, {found['mime']:,} as MIME; {limits}"
    if form is None:
        raise RefusedError(
            f"{place.cluster}/{host}: no form of its user-data suits {', '.join(names)}: {told}; name one place with "
            "--target, or set cloudInit.brings: host-base, which leaves the rest to apply"
        )
    return form, f"user-data of {host}, {form}: {told}"


def _outside(place: Place, out: str | None, secret: bool) -> Path | None:
    """Return the path to write to; one in the workspace is refused for what holds a token, or would be rendered."""
    if out is None:
        if secret:
            raise RefusedError("--join-token: user-data then holds a secret; write it to a file with --out FILE")
        return None
    path = Path(out).expanduser()
    forbidden = place.root if secret else place.rendered
    if path.resolve().is_relative_to(forbidden.resolve()):
        what = "it holds a join token and must not lie in the workspace" if secret else "only render writes there"
        raise RefusedError(f"{path}: {what}; name a path outside of {forbidden}")
    return path
