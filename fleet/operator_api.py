"""The API of a cluster for one question: through SSH, with a certificate that is signed when it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fleet.cluster_client import open_cluster_api
from fleet.kube import Api
from fleet.options import Options
from fleet.session import Session
from fleet.standing import ssh_fleet
from fleet.tree import load
from generator.sealing import identity_once


@asynccontextmanager
async def operator_api(rendered: Path, cluster_dir: Path) -> AsyncIterator[Api]:
    """Hold the API of a rendered tree open for the length of a block; raises what entering hosts and signing raise."""
    tree = load(rendered)
    session = Session(tree, ssh_fleet(tree, cluster_dir).connect)
    try:
        opened = await open_cluster_api(tree, cluster_dir, session.connect, Options(), identity_once())
        try:
            yield opened.api
        finally:
            await opened.close()
    finally:
        await session.close()
