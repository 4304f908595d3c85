"""The verb that says whether hosts can become what the spec says."""

from __future__ import annotations

import asyncio
from json import dumps

from invoke.context import Context

from fleet.options import Options
from fleet.preflight.document import preflight_document
from fleet.preflight.finding import exit_code
from fleet.preflight.run import preflight_run
from fleet.preflight.table import judged, known_checks
from fleet.preflight.text import HEADINGS, rows, summary
from verbs import console
from verbs.host_options import AS_JSON, LIMIT, SKIP_CHECKS, STALE_OK, fleet_of, words
from verbs.rendering import WHICH, require_current
from verbs.verb import verb
from verbs.workspace import place_of


@verb(
    name="preflight",
    help={"cluster": WHICH, "limit": LIMIT, "skip": SKIP_CHECKS, "json": AS_JSON, "stale-ok": STALE_OK},
)
def preflight(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    skip: str | None = None,
    json: bool = False,
    stale_ok: bool = False,
) -> int:
    """Say what stands against the hosts of a cluster, in one table. Changes nothing; exit 0 no errors, 1 errors.

    Example: invoke preflight --cluster prod --skip time-sync,firewall
    """
    left_out = known_checks(words(skip))
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(limit=words(limit), stale_ok=stale_ok, command="invoke preflight")
    fleet = fleet_of(place, options, as_json=False)
    seen = asyncio.run(preflight_run(fleet, left_out))
    found = judged(seen, left_out)
    if json:
        console.raw(dumps(preflight_document(seen, found, left_out, fleet.clock()), indent=2) + "\n")
    else:
        console.say(summary(seen, found, left_out))
        if found:
            console.say()
            console.table(HEADINGS, rows(found))
    return exit_code(found)
