"""What stands in the plain files of an earlier generation: from the tree, from hosts' copies, or from the hosts' files.

Gates need some of it (which CA to trust, how etcd is asked), and people the ± lines. Secrets are not among it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from fleet.inventory import Host
from fleet.session import Session
from fleet.tree import RenderedTree

KEPT = PurePosixPath("/var/lib/slipway/previous")


async def with_known_contents(
    session: Session, rendered: RenderedTree, earlier: RenderedTree, targets: Mapping[str, str]
) -> RenderedTree:
    """Return the earlier tree with the contents of plain files of the hosts in `targets`, as far as they can be had.

    A content is what its digest says, wherever it lies: most of it stands in the rendered tree. Raises HostError.
    """
    known = {
        item.content_id: item.content
        for host in rendered.hosts.values()
        for item in host.items
        if item.kind == "file" and not item.is_secret
    }
    hosts = {name: _filled(earlier.hosts[name], known) for name in targets}
    lacking = {name: paths for name, host in hosts.items() if (paths := _lacking(host))}
    folders = {name: str(KEPT / generation / "files") for name, generation in targets.items()}
    found = await session.texts(
        {name: [*(folders[name] + path for path in paths), *paths] for name, paths in lacking.items()}
    )
    for texts in found.values():
        known |= {hashlib.sha256(content).hexdigest(): content for content in texts.values()}
    return replace(earlier, hosts={**earlier.hosts, **{name: _filled(host, known) for name, host in hosts.items()}})


def _filled(host: Host, known: Mapping[str, bytes]) -> Host:
    items = tuple(
        replace(item, content=known[item.recorded_id])
        if item.kind == "file" and not item.is_secret and item.recorded_id in known
        else item
        for item in host.items
    )
    return replace(host, items=items)


def _lacking(host: Host) -> list[str]:
    return [item.path for item in host.items if item.kind == "file" and not item.is_secret and not item.content]
