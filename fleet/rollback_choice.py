"""Which apply a rollback undoes, and where each host goes: a pure function of what the hosts have written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleet.generations import About, History, Undone
from generator.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Choice:
    """One apply to undo, named by its tree. `targets`: by host, the generation to which it goes back.

    `undone` says who made what is undone, `back` what comes back, each None where no host can tell. `partly`: hosts
    that the apply had begun to change. `staying`: hosts that it moved, or may have moved, and that cannot go back, each
    with the reason.
    """

    tree: str
    undone: About | None
    back: About | None
    targets: Mapping[str, str]
    partly: tuple[str, ...] = ()
    staying: Mapping[str, str] = field(default_factory=dict)
    already: Undone | None = None


def choose(cluster: str, histories: Iterable[History]) -> Choice:
    """Return the last apply that the hosts know of, and its hosts.

    A rollback undoes one tree. Hosts on which it arrived go to the generation before. Where it did not arrive
    everywhere, hosts in the middle of a change, this one's or one that it was to mend, go back to the generation that
    they still have. All others stay. A rollback that was broken off is taken up where it stopped. Raises RefusedError
    where nothing can be undone.
    """
    known = sorted(map(_settled, histories), key=lambda one: one.host)
    marks = [mark for one in known for mark in _marks(one)]
    if not marks:
        if any(one.generation for one in known):
            raise RefusedError(
                f"{cluster}: no host says which apply made its generation: an older Slipway recorded them; a rollback "
                "is possible from the next apply on, until then revert the commit and run `invoke apply`"
            )
        raise RefusedError(f"{cluster}: nothing has been applied yet, so there is nothing to roll back")
    tree = max(marks)[1]
    # The same tree may have been applied before another one, as a revert does it: that was another apply.
    since = max((time for time, other in marks if other != tree), default="")
    targets: dict[str, str] = {}
    staying: dict[str, str] = {}
    partly: list[str] = []
    undone: list[About] = []
    back: list[About] = []
    already: list[Undone] = []
    unfinished = any(one.underway is not None and _tree(one.underway) == tree for one in known)
    for one in known:
        if one.underway is not None and unfinished:
            goes_on = one.underway.undoes == tree
            target = one.underway.generation if goes_on else one.generation
            if not goes_on and one.underway.tree == tree:
                undone.append(one.underway)
            partly.append(one.host)
            if not target:
                staying[one.host] = "it had no generation before; run `invoke apply` to finish it"
                continue
            targets[one.host] = target
            back += [about for about in (one.about, one.before_about) if about and about.generation == target]
            if one.about is not None and one.about.tree == tree:
                undone.append(one.about)
        elif one.about is not None and one.about.undone is not None and one.about.undone.tree == tree:
            already.append(one.about.undone)
        elif one.about is not None and one.about.undone is None and one.about.tree == tree and one.about.time > since:
            undone.append(one.about)
            if not one.before:
                staying[one.host] = "it had no generation before this apply"
                continue
            targets[one.host] = one.before
            back += [one.before_about] if one.before_about else []
        elif one.generation and one.about is None:
            staying[one.host] = (
                "it has a generation and no readable word of which apply made it, so nobody knows whether this one "
                "did; revert the commit and run `invoke apply` to take it along"
            )
    return Choice(
        tree=tree,
        undone=max(undone, key=lambda about: about.time, default=None),
        back=max(back, key=lambda about: about.time, default=None),
        targets=targets,
        partly=tuple(partly),
        staying=staying,
        already=max(already, key=lambda one: one.time, default=None),
    )


def _settled(history: History) -> History:
    """Return a host without its `underway` where it has arrived, and only the tidying up after that was cut off."""
    way, about = history.underway, history.about
    if way is None or about is None or way.generation != about.generation:
        return history
    if way.undoes:
        arrived = about.undone is not None and about.undone.tree == way.undoes and about.undone.time >= way.time
    else:
        arrived = about.undone is None and about.tree == way.tree and about.time >= way.time
    return replace(history, underway=None) if arrived else history


def _marks(history: History) -> list[tuple[str, str]]:
    """Return when a host was concerned by which tree, as sortable pairs."""
    found = []
    if history.underway is not None:
        found.append((history.underway.time, _tree(history.underway)))
    for about in (history.about, history.before_about):
        if about is not None:
            found += [(about.time, about.tree)] if about.tree else []
            found += [(about.undone.time, about.undone.tree)] if about.undone is not None else []
    return found


def _tree(underway: About) -> str:
    """Return the tree that a change is about: of a rollback the one that it takes back."""
    return underway.undoes or underway.tree


def require_targets(cluster: str, choice: Choice, targets: Mapping[str, str]) -> None:
    """Raise RefusedError, with the reason, where no host is left that goes back."""
    if targets:
        return
    if choice.already is not None:
        raise RefusedError(
            f"{cluster}: tree {choice.tree[:12]} has been rolled back already, at {choice.already.time} by "
            f"{choice.already.operator}; one generation is kept, so go on through git: revert further commits, render "
            "and run `invoke apply`"
        )
    reasons = "; ".join(f"{host}: {reason}" for host, reason in sorted(choice.staying.items()))
    raise RefusedError(
        f"{cluster}: no host can be rolled back from tree {choice.tree[:12]}: "
        f"{reasons or 'it moved none of the hosts that are asked for'}"
    )
