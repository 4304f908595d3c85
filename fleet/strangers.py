"""What lies on a host beside what we put there, and still changes how our units run: named, never touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.question import formation_paths
from fleet.state import HostState
from fleet.tree import Host, RenderedTree


@dataclass(frozen=True, slots=True, order=True)
class Stranger:
    """A path that no manifest has; `words` follow the path. `bears`: it changes a unit of ours for certain."""

    path: str
    words: str
    bears: bool


def strangers(tree: RenderedTree, host: Host, state: HostState) -> tuple[Stranger, ...]:
    """Return drop-ins and unit files that are not ours and bear on our units, and files in folders that we fill.

    What we own and no longer want is no stranger: a plan shows it as a removal.
    """
    return tuple(sorted({*_of_units(tree, host, state), *_in_folders(host, state)}))


def _of_units(tree: RenderedTree, host: Host, state: HostState) -> Iterator[Stranger]:
    own = {item.path for item in host.items if item.path} | set(state.owned)
    own |= {formation_paths(phase)[2] for phase in tree.phases if phase.formation}
    for unit in host.units():
        facts = state.units.get(unit.name)
        if facts is None:
            continue
        for path in facts.drop_ins:
            if path not in own:
                yield Stranger(path, f"is not ours and changes how {unit.name} runs", bears=True)
        placed = [path for path in own if path.startswith("/etc/systemd/") and path.endswith(f"/{unit.name}")]
        if facts.fragment and placed and facts.fragment not in own and facts.load != "masked":
            yield Stranger(facts.fragment, f"is not ours and stands in the place of {placed[0]}", bears=True)


def _in_folders(host: Host, state: HostState) -> Iterator[Stranger]:
    own = {item.path for item in host.items if item.path} | set(state.owned)
    parents = {path[:at] for path in own for at in range(len(path)) if path[at] == "/"}
    for path in state.inside:
        if path not in own and path not in parents:
            yield Stranger(path, "is not ours; it lies in a folder that our programs read", bears=False)
