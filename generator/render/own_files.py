"""The user's own files (`files:` of a cluster, pool or host) as items of a component named "files"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from generator.components.items import HostFile
from generator.spec.model import ExtraFile

OWN_FILES = "files"
DEFAULT_PHASE = "host-base"


def own_files(files: Iterable[ExtraFile], unit_phases: Mapping[str, str]) -> Iterator[HostFile]:
    """Yield one item for each file.

    A file that restarts or reloads a unit of ours is activated in that unit's phase, so that it goes live in the same
    batch and between the same gates; every other file in host-base.
    """
    for file in files:
        phases = [unit_phases[unit] for unit in (*file.restarts, *file.reloads) if unit in unit_phases]
        yield HostFile(
            path=file.path,
            content=file.content,
            component=OWN_FILES,
            phase=phases[0] if phases else DEFAULT_PHASE,
            mode=file.mode,
            owner=file.owner,
            group=file.group,
            restarts=file.restarts,
            reloads=file.reloads,
        )
