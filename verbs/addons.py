"""Verbs for API objects."""

from __future__ import annotations

import asyncio
from json import dumps
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

from fleet.objects_diff import diff_json, diff_lines, diff_run
from fleet.options import Options
from verbs import console
from verbs.host_options import AS_JSON, PLAN_STYLES, STALE_OK, fleet_of, words
from verbs.rendering import WHICH, require_current
from verbs.verb import verb
from verbs.workspace import place_of


@verb(
    name="diff",
    help={
        "cluster": WHICH,
        "set": "only these sets, such as 30-coredns or coredns, separated by commas",
        "json": AS_JSON,
        "kubeconfig": "ask with this kubeconfig, a read-only one will do, instead of a certificate signed for it",
        "stale-ok": STALE_OK,
    },
)
def diff(
    context: Context,
    cluster: str | None = None,
    set: str | None = None,
    json: bool = False,
    kubeconfig: str | None = None,
    stale_ok: bool = False,
) -> int:
    """Say what API objects the live cluster has otherwise. Changes nothing; exit 0 none, 2 differences, 1 error.

    Example: invoke addons.diff --cluster prod --set coredns
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(
        kubeconfig=Path(kubeconfig).expanduser() if kubeconfig else None,
        stale_ok=stale_ok,
        command="invoke addons.diff",
    )
    found = asyncio.run(diff_run(fleet_of(place, options, as_json=False), words(set)))
    if json:
        console.raw(dumps(diff_json(found), indent=2) + "\n")
        return found.exit_code
    for line in diff_lines(found):
        console.say(line.text, PLAN_STYLES.get(line.kind, ""))
    return found.exit_code


namespace = Collection("addons", diff)
