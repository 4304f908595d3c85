"""What every addon has by default, given to a real API server (Kubernetes 1.20.2): accepted, unchanged, pruned.

The same holds for every other variation that fits this Kubernetes, which takes longer and is for lab_long.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cluster_client import OperatorApi
from fleet.kube import Api, Ref
from fleet.objects import delete_orphans, orphan_differences
from fleet.secrets import SecretStore
from fleet.tree import Phase, RenderedTree
from generator.errors import ApiError
from generator.render.objects import object_files
from generator.sealing import Identity
from tests.addons.cases import in_minors
from tests.golden.addon_cases import AddonCase, case_objects, content, set_name
from tests.lab.loopback_api import CLUSTER, LoopbackApi, connect, running

pytestmark = pytest.mark.lab

VERSION = "1.20.2"
CASES = [case for case, minor in in_minors() if minor == "1.20"]
DEFAULTS = {
    case.addon: min(
        (one for one in CASES if one.addon == case.addon), key=lambda one: (one.name != "default", one.name)
    )
    for case in CASES
}
OTHERS = [case for case in CASES if case not in DEFAULTS.values()]
RBAC = "00-cluster-rbac"
KEPT = frozenset({"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"})
"""Kinds whose deletion is left to people: what is in them would go too."""


class SomeSecrets(SecretStore):
    """Stands for the sealed secrets of cases, whose keys nobody has made: what a Secret holds is all the same here."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), _nobody)

    def value(self, name: str, expected_id: str = "") -> bytes:
        """Return a value of its own for each secret; those with a registry's login must be JSON."""
        return json.dumps({"auths": {}, "of": name}).encode()


def _nobody() -> Identity:
    raise AssertionError("no identity is needed")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackApi]:
    with running(tmp_path_factory.mktemp("loop")) as made:
        yield made


@pytest.mark.parametrize("case", DEFAULTS.values(), ids=lambda case: f"{case.addon}/{case.name}")
def test_a_default_set_is_accepted_changes_nothing_twice_and_leaves(
    loop: LoopbackApi, case: AddonCase, tmp_path: Path
) -> None:
    asyncio.run(_comes_and_goes(loop, case, tmp_path))


@pytest.mark.lab_long
@pytest.mark.parametrize("case", OTHERS, ids=lambda case: f"{case.addon}/{case.name}")
def test_a_variation_is_accepted_changes_nothing_twice_and_leaves(
    loop: LoopbackApi, case: AddonCase, tmp_path: Path
) -> None:
    asyncio.run(_comes_and_goes(loop, case, tmp_path))


async def _comes_and_goes(loop: LoopbackApi, case: AddonCase, folder: Path) -> None:
    own = set_name(case)
    own_version = content(case).get("patch", {}).get("versions", {}).get("kubernetes")
    sets = case_objects(case, "" if own_version else VERSION)
    for path, text in object_files({name: sets[name] for name in (RBAC, own)}):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)
    phases = (Phase("cluster-rbac", objects=(RBAC, own)),)
    control = ({"host": "cp1", "address": "127.0.0.1", "port": loop.port},)
    tree = RenderedTree(folder, CLUSTER, {}, "push", {}, {}, phases, control, {}, "")
    client = OperatorApi(tree, connect, loop.signer, None, SomeSecrets())
    try:
        await client.apply_objects([RBAC])
        try:
            changes = await client.apply_objects([own])
            assert [change.action for change in changes] == ["create"] * len(sets[own]), changes
            # Nothing rolls out here, where there is no node.
            await client.objects_settled([own])
            assert await client.object_changes([own]) == ()
            assert await client.apply_objects([own]) == ()
        finally:
            await delete_orphans(client.api, (RBAC,))
            left = await orphan_differences(client.api, (RBAC,))
            for change in left:
                await client.api.delete(change.ref)
            for change in left:
                await _gone(client.api, change.ref)
        assert {change.ref.kind for change in left} <= KEPT
    finally:
        await client.close()


async def _gone(api: Api, ref: Ref) -> None:
    """Wait until an object is gone: the next case may bring one of the same name."""
    for _ in range(300):
        try:
            if await api.find(ref) is None:
                return
        except ApiError as error:
            if error.status == 404:
                return
            raise
        await asyncio.sleep(0.2)
    raise AssertionError(f"{ref} is still there after a minute")
