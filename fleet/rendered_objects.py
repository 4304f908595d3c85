"""The rendered sets of one tree against its API: compared, applied in order, waited for, and pruned as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property

from fleet import objects, rollout
from fleet.admin import ADMINS
from fleet.kube import Api, Ref, ref_of
from fleet.object_diff import text_diff
from fleet.object_record import Record, read_record, write_record
from fleet.object_sets import ObjectSet, binds_group, load_set
from fleet.objects import Difference
from fleet.plan import ObjectChange
from fleet.secrets import SecretStore
from fleet.tree import RenderedTree
from generator.errors import ApiError

BINDING_SECONDS = 15
"""How long the API servers may take to learn of the binding that gives admins their rights."""

Bind = Callable[[ObjectSet], Awaitable[tuple[Difference, ...]]]


class RenderedObjects:
    """All sets of a tree. `bind` makes the binding of admins with other credentials, None where there are none.

    From `secrets` come the values that rendered Secrets leave out.
    """

    def __init__(self, tree: RenderedTree, api: Api, secrets: SecretStore | None, bind: Bind | None) -> None:
        self._tree = tree
        self._api = api
        self._secrets = secrets
        self._bind = bind

    async def changes(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        """Return what applying object sets would change; with the last set, also what sets that are gone have left."""
        found: list[Difference] = []
        for name in sets:
            one = load_set(self._tree.path, name)
            try:
                found.extend(await objects.differences(self._api, one, self._elsewhere(name)))
            except ApiError as error:
                if not self._may_bind(error, one):
                    raise
                created = [Difference(name, ref_of(value), "create", text_diff(None, value)) for value in one.objects]
                found.extend(created)
        if self._is_last(sets):
            found.extend(await self._orphans())
        return (*(self._change(one) for one in found), *await self._unfinished(sets))

    async def apply(
        self, sets: Sequence[str], told: Callable[[ObjectChange], None] = lambda _: None
    ) -> tuple[ObjectChange, ...]:
        """Apply object sets, prune what left them, and return what changed; `told` hears of each as soon as it is done.

        A new cluster lets admins do nothing yet: then, and only then, the one object that binds them is applied with
        a certificate of system:masters, signed for this and thrown away.
        """
        done: list[ObjectChange] = []

        def tell(one: Difference) -> None:
            done.append(self._change(one))
            told(done[-1])

        means = objects.Means(self._secrets, told=tell)
        for name in sets:
            one = load_set(self._tree.path, name)
            try:
                await objects.apply_set(self._api, one, self._elsewhere(name), means)
            except ApiError as error:
                if self._bind is None or not self._may_bind(error, one):
                    raise
                for bound in await self._bind(one):
                    tell(bound)
                await self._apply_when_bound(one, means)
        if self._is_last(sets):
            for orphan in await objects.delete_orphans(self._api, self.all_sets, self._elsewhere("")):
                tell(orphan)
        return tuple(done)

    async def unaccepted(self, sets: Sequence[str]) -> tuple[str, ...]:
        """Return what of object sets the API does not have as rendered, in words."""
        found: list[str] = []
        for name in sets:
            found.extend(await objects.unaccepted(self._api, load_set(self._tree.path, name), self._elsewhere(name)))
        return tuple(found)

    async def not_rolled_out(self, sets: Sequence[str], known: rollout.Watch) -> tuple[str, ...]:
        """Return which workloads of object sets do not run as applied, each with its reason."""
        loaded = [load_set(self._tree.path, name) for name in sets]
        return await rollout.not_rolled_out(self._api, [ref for one in loaded for ref in one.refs], known)

    async def settled(self, sets: Sequence[str]) -> None:
        """Write down that object sets have passed the gates of their phase."""
        record = await read_record(self._api)
        await write_record(self._api, record, record.finished(sets))

    async def _apply_when_bound(self, one: ObjectSet, means: objects.Means) -> None:
        for _ in range(BINDING_SECONDS * 2):
            try:
                await objects.apply_set(self._api, one, self._elsewhere(one.name), means)
                return
            except ApiError as error:
                if error.status != 403:
                    raise
            await asyncio.sleep(0.5)
        await objects.apply_set(self._api, one, self._elsewhere(one.name), means)

    async def _orphans(self) -> tuple[Difference, ...]:
        try:
            return await objects.orphan_differences(self._api, self.all_sets, self._elsewhere(""))
        except ApiError as error:
            # Where admins have no rights yet, nothing has been applied that could be left over.
            if error.status == 403:
                return ()
            raise

    async def _unfinished(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        """Return the sets that an earlier run changed and did not get past their gates."""
        left = (await self._recorded()).unfinished
        return tuple(
            ObjectChange(phase.name, f"objects of {name}", "unfinished")
            for phase in self._tree.phases
            for name in phase.objects
            if name in sets and name in left
        )

    async def _recorded(self) -> Record:
        try:
            return await read_record(self._api)
        except ApiError as error:
            if error.status == 403:
                return Record()
            raise

    def _may_bind(self, error: ApiError, one: ObjectSet) -> bool:
        return self._bind is not None and error.status == 403 and binds_group(one.objects, ADMINS) is not None

    def _elsewhere(self, name: str) -> tuple[Ref, ...]:
        """Return what the other sets of the tree hold: an object that moved there is not one that left."""
        return tuple(ref for other, refs in self.refs.items() if other != name for ref in refs)

    def _is_last(self, sets: Sequence[str]) -> bool:
        return bool(sets) and sets[-1] == self.all_sets[-1]

    def _change(self, one: Difference) -> ObjectChange:
        phase = next((phase.name for phase in self._tree.phases if one.set_name in phase.objects), "removals")
        return ObjectChange(phase, str(one.ref), one.action, one.diff)

    @cached_property
    def all_sets(self) -> tuple[str, ...]:
        """The names of all sets, in the order of apply."""
        return tuple(name for phase in self._tree.phases for name in phase.objects)

    @cached_property
    def refs(self) -> Mapping[str, tuple[Ref, ...]]:
        """What each set of the tree holds."""
        there = [name for name in self.all_sets if (self._tree.path / "objects" / name / "index.yaml").is_file()]
        return {name: load_set(self._tree.path, name).refs for name in there}
