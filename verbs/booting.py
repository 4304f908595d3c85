"""Verbs for hosts that are made: their user-data for cloud-init, and a seed with it for machines without a cloud."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from invoke.context import Context

from fleet import seed as seeds
from fleet.cluster_client import open_cluster_api
from fleet.options import Options
from fleet.private_file import write_private
from fleet.session import Session
from fleet.standing import ssh_fleet
from fleet.tree import load as load_tree
from fleet.user_data import LIFETIME, join_part, rehearsed, user_data
from generator.errors import RefusedError
from generator.formats.cloud_config import Form, formed, sizes
from generator.render.user_data import form_for
from generator.sealing import identity_once
from generator.spec import load
from generator.spec.clouds import TARGETS
from generator.spec.structure import suggestion
from verbs import console
from verbs.host_options import STALE_OK
from verbs.rendering import WHICH, require_current
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
    found = _Made(place, host)
    targets = _targets(found.targets, target)
    join = _join(join_token, token_minutes, kubeconfig)
    if join is not None:
        # What no place takes is found out before a token is made for it.
        _form(place, host, rehearsed(found.tree, found.host), targets)
    text = found.text(join)
    form, told = _form(place, host, text, targets)
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
    network = None if network_config is None else _network_config(network_config)
    text = _Made(place, host).text(_join(join_token, token_minutes, kubeconfig))
    files = seeds.seed_files(place.cluster, host, text.encode(), network)
    write_private(path, seeds.iso(files))
    console.say(
        f"{path} (mode 0600): label {seeds.LABEL}, {', '.join(sorted(files))}; user-data {len(text.encode()):,} bytes"
    )


@dataclass(frozen=True, slots=True)
class _Join:
    """How a worker is to join by itself: how long its token lives, and with which kubeconfig it is made."""

    lifetime: timedelta
    kubeconfig: Path | None


def _join(wanted: bool, minutes: int, kubeconfig: str | None) -> _Join | None:
    if wanted:
        # More than any token may live; a timedelta has an end too.
        lifetime = timedelta(minutes=max(0, min(minutes, 10**6)))
        return _Join(lifetime, Path(kubeconfig).expanduser() if kubeconfig else None)
    if minutes != _MINUTES or kubeconfig is not None:
        raise RefusedError("--token-minutes and --kubeconfig are about a token; add --join-token, or leave them out")
    return None


class _Made:
    """A host that is to be made, with its tree and the targets of its pool; raises RefusedError for one not there."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self.tree = load_tree(place.rendered)
        if name not in self.tree.hosts:
            hint = suggestion(name, self.tree.hosts, "see hosts in cluster.yaml")
            raise RefusedError(f"{place.cluster}: no host {name}; {hint}")
        self.host = self.tree.hosts[name]
        pool = load(place.root, place.cluster).pools[self.host.pool.name]
        self.targets = pool.cloud_init.targets if pool.cloud_init is not None else ()

    def text(self, join: _Join | None) -> str:
        """Return its user-data; with `join` a token is made."""
        return user_data(self.tree, self.host) if join is None else asyncio.run(self._joining(join))

    async def _joining(self, join: _Join) -> str:
        options = Options(kubeconfig=join.kubeconfig, command="invoke user-data")
        session = Session(self.tree, ssh_fleet(self.tree, self._place.inputs).connect)
        inputs = self._place.inputs
        client = await open_cluster_api(self.tree, inputs, session.connect, options, identity_once())
        try:
            part = await join_part(client.api, self.tree, self.host, lifetime=join.lifetime)
            return user_data(self.tree, self.host, part)
        finally:
            await client.close()
            await session.close()


def _network_config(name: str) -> bytes:
    """Return the network-config in a file; raises RefusedError for one that would leave a host without a network."""
    where = f"--network-config {name}"
    try:
        content = Path(name).expanduser().read_bytes()
    except OSError as error:
        raise RefusedError(f"{where}: {(error.strerror or str(error)).lower()}; name a file to read") from None
    if fault := seeds.network_fault(content):
        raise RefusedError(f"{where}: {fault}; see cloud-init's pages on network configuration, version 1 or 2")
    return content


def _targets(names: tuple[str, ...], only: str | None) -> tuple[str, ...]:
    if only is None:
        return names
    if only not in TARGETS:
        known = f"known are {', '.join(TARGETS)}"
        raise RefusedError(f"--target {only}: {suggestion(only, TARGETS, known)}")
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
    """Return the path to write to.

    Refused are the folders of spec and tree, for what holds a token the whole repository, and what cannot be written:
    a token that is made and then lost opens the cluster for as long as it lives.
    """
    if out is None:
        if secret:
            raise RefusedError("--join-token: user-data then holds a secret; write it to a file with --out FILE")
        return None
    path = Path(out).expanduser()
    real = path.resolve()
    if secret and real.is_relative_to(repository := _repository(place.root)):
        raise RefusedError(
            f"{path}: it holds a join token and must not lie in the repository; name a path outside of {repository}"
        )
    for folder in (place.root / "clusters", place.root / "rendered"):
        if real.is_relative_to(folder.resolve()):
            raise RefusedError(f"{path}: only you and render write there; name a path outside of {folder}")
    if real.is_dir() or not real.parent.is_dir():
        fault = "is a folder" if real.is_dir() else "lies in a folder that is not there"
        raise RefusedError(f"{path}: {fault}; name a file in a folder that is there")
    return path


def _repository(root: Path) -> Path:
    """Return the folder that git keeps and in which the workspace lies; the workspace where git keeps none."""
    real = root.resolve()
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), real)
