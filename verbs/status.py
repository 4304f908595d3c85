"""The verb that says how hosts and cluster are."""

from __future__ import annotations

import asyncio
from json import dumps
from pathlib import Path

from invoke.context import Context

from fleet.options import Options
from fleet.status.collect import status_run
from fleet.status.document import status_document
from fleet.status.findings import exit_code, findings
from fleet.status.text import status_lines
from generator.errors import SpecError
from generator.spec import load
from verbs import console
from verbs.host_options import AS_JSON, LIMIT, fleet_of, words
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import Place, place_of

_WARN_DAYS = 30


@verb(
    name="status",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "json": AS_JSON,
        "verbose": "for each host every unit, open port and certificate",
        "kubeconfig": "ask the API with this kubeconfig instead of a certificate signed for it",
    },
)
def status(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    json: bool = False,
    verbose: bool = False,
    kubeconfig: str | None = None,
) -> int:
    """Say how hosts and cluster are, what is wrong first. Changes nothing; exit 0 all well, 2 findings, 1 error.

    Example: invoke status --cluster prod --limit workers
    """
    place = place_of(cluster)
    options = Options(
        limit=words(limit),
        kubeconfig=Path(kubeconfig).expanduser() if kubeconfig else None,
        command="invoke status",
    )
    seen = asyncio.run(status_run(fleet_of(place, options, as_json=False), warn_days=_warn_days(place)))
    found = findings(seen)
    if json:
        console.raw(dumps(status_document(seen, found), indent=2) + "\n")
    else:
        for line in status_lines(seen, found, verbose=verbose):
            console.say(line)
    return exit_code(found)


def _warn_days(place: Place) -> int:
    """Return pki.warnBefore of the spec; one with faults must not keep anybody from looking at the cluster."""
    try:
        return load(place.root, place.cluster).pki.warn_days
    except SpecError:
        return _WARN_DAYS
