"""What goes to a host before anything is activated: the staged generation and the binaries, only what differs."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.artifacts import ArtifactSource, chunks
from fleet.connection import Connection
from fleet.host_scripts import run_script
from fleet.item_changes import has_content
from fleet.items import SLOT, Item
from fleet.secrets import SecretStore
from fleet.state import HostState
from fleet.tree import Artifact, Host, RenderedTree
from fleet.work import HostPlan
from generator.errors import ArtifactError

BINARY_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one host lacks: blobs to stage, artifacts to place; `manifest`: its list of items is not staged."""

    host: str
    digest: str
    manifest: bool
    blobs: tuple[Item, ...]
    artifacts: tuple[tuple[Artifact, tuple[Item, ...]], ...]

    @property
    def empty(self) -> bool:
        """Whether the host has everything already."""
        return not (self.manifest or self.blobs or self.artifacts)


def delivery(tree: RenderedTree, host: Host, state: HostState, plan: HostPlan) -> Delivery:
    """Return what a host lacks for its generation; nothing where its plan is empty."""
    blobs = {
        item.blob: item
        for item in host.items
        if item.blob and not has_content(item, state) and item.blob not in state.blobs
    }
    missing: dict[tuple[str, str, str], list[Item]] = {}
    for item in host.items:
        if item.kind == "binary" and not has_content(item, state):
            missing.setdefault((item.artifact, item.version, item.arch), []).append(item)
    artifacts = []
    for key, items in sorted(missing.items()):
        if key not in tree.artifacts:
            raise ArtifactError(
                f"{tree.cluster}/{host.name}: {key[0]} {key[1]} {key[2]} is not in bom.yaml; run `invoke render`"
            )
        artifacts.append((tree.artifacts[key], tuple(items)))
    needed = state.staged != host.digest and (bool(plan.work) or state.generation != host.digest)
    return Delivery(host.name, host.digest, needed, tuple(blobs[name] for name in sorted(blobs)), tuple(artifacts))


async def push_host(
    connection: Connection,
    tree: RenderedTree,
    host: Host,
    wanted: Delivery,
    secrets: SecretStore,
    source: ArtifactSource,
) -> None:
    """Bring one host what it lacks. Nothing that runs sees it; a broken push is begun again where it stopped.

    Raises HostError, ArtifactError, SealingError or PkiError.
    """
    for artifact, items in wanted.artifacts:
        files = [word for item in items for word in (item.path, item.member or "-", item.component)]
        if tree.fetch == "host":
            await run_script(connection, "binary", [artifact.sha256, artifact.url, *files], timeout=BINARY_SECONDS)
        else:
            local = await source.file(artifact)
            await run_script(
                connection, "binary", [artifact.sha256, "-", *files], chunks(local), timeout=BINARY_SECONDS
            )
    if wanted.manifest or wanted.blobs:
        # The whole stream is built in memory: filled secrets never reach a disk of this machine.
        await run_script(
            connection, "stage", [host.digest], staged_stream(host, wanted.blobs, secrets), timeout=BINARY_SECONDS
        )


def staged_stream(host: Host, blobs: Iterable[Item], secrets: SecretStore) -> bytes:
    """Return the compressed tar that the script `stage` takes in."""
    members = {"manifest": host_manifest(host)}
    for item in blobs:
        members[f"blobs/{item.blob}"] = secrets.content(item) if item.is_secret else item.content
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in members.items())
    members["sums"] = sums.encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o600
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)


def host_manifest(host: Host) -> bytes:
    """Return the list of a host's items as its scripts read it: a line each, words separated by tabs, "-" for nothing.

    kind key mode owner group phase component content-id blob extra restarts reloads; `extra` is a link's target, a
    user's groups, whether a unit is started, a binary's member of its archive, or the slots of a text, in the order in
    which they stand there, as name=id: a host's manifest says all that goes into its digest.
    """
    lines = []
    for item in host.items:
        slots = dict.fromkeys(SLOT.findall(item.content.decode("utf-8", "replace"))) if item.secrets else ()
        extra = {
            "link": item.target,
            "user": ",".join(item.groups),
            "unit": "start" if item.start else "idle",
            "binary": item.member,
            "file": ",".join(f"{name}={item.secrets[name]}" for name in slots),
        }.get(item.kind, "")
        words = [
            "secret" if item.is_secret else item.kind, item.key, f"{item.mode:04o}", item.owner, item.group, item.phase,
            item.component, item.drain_key if item.kind == "unit" else item.content_id, item.blob, extra,
            ",".join(item.restarts), ",".join(item.reloads),
        ]  # fmt: skip
        lines.append("\t".join(word or "-" for word in words))
    return ("\n".join(lines) + "\n").encode()
