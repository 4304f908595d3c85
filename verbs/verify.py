"""`invoke verify`: the functional test of a running cluster."""

from __future__ import annotations

import asyncio
from json import dumps
from pathlib import Path

from invoke.context import Context

from fleet.cluster_client import OperatorApi, open_cluster_api
from fleet.options import Options
from fleet.session import Session
from fleet.verify.page import load_page
from fleet.verify.results import Report, report_json, report_lines
from fleet.verify.run import READY_SECONDS, TITLES, Design, VerifyOptions, design, verify_run
from generator.errors import RefusedError
from verbs import console
from verbs.host_options import AS_JSON, LIMIT, STALE_OK, fleet_of, words
from verbs.rendering import WHICH, require_current
from verbs.verb import verb
from verbs.workspace import place_of


@verb(
    name="verify",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "only": f"only these checks, separated by commas: {', '.join(TITLES)}",
        "all-nodes": "test pods on control-plane nodes too, not on workers alone",
        "timeout": f"seconds until all test pods must be Ready, {READY_SECONDS:.0f} by default",
        "json": AS_JSON,
        "dry-run": "say what would be checked and created, and do nothing",
        "kubeconfig": "ask the API with this kubeconfig instead of a certificate signed for the run",
        "stale-ok": STALE_OK,
    },
)
def verify(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    only: str | None = None,
    all_nodes: bool = False,
    timeout: int = int(READY_SECONDS),
    json: bool = False,
    dry_run: bool = False,
    kubeconfig: str | None = None,
    stale_ok: bool = False,
) -> int:
    """Test what a cluster is for: pods, network, Services, DNS, certificates, rights. Leaves nothing behind.

    Exit 0 where nothing failed, 2 where something did, 1 for an error.

    Example: invoke verify --cluster prod --limit workers
    """
    if timeout < 1:
        raise RefusedError(f"--timeout {timeout}: pods need a second at least; give 1 or more")
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(
        limit=words(limit),
        kubeconfig=Path(kubeconfig).expanduser() if kubeconfig else None,
        stale_ok=stale_ok,
        dry_run=dry_run,
        command="invoke verify",
    )
    wanted = VerifyOptions(words(only), all_nodes, float(timeout))
    fleet = fleet_of(place, options, as_json=False)
    if dry_run:
        print_design(design(fleet.tree, load_page(fleet.tree.path).image, options.limit, wanted), as_json=json)
        return 0

    async def open_api(session: Session) -> OperatorApi:
        return await open_cluster_api(fleet.tree, place.inputs, session.connect, options, fleet.identity)

    report = asyncio.run(verify_run(fleet, wanted, open_api))
    print_report(report, as_json=json)
    return report.exit_code


def print_report(report: Report, *, as_json: bool) -> None:
    """Print what the checks found as text or as one JSON document."""
    if as_json:
        console.raw(dumps(report_json(report), indent=2) + "\n")
        return
    for line in report_lines(report):
        console.say(line)


def print_design(found: Design, *, as_json: bool) -> None:
    """Print what a test would check and create."""
    if as_json:
        plain = {
            "checks": list(found.checks),
            "hosts": [host.name for host in found.hosts],
            "podsOn": [host.name for host in found.pod_hosts],
            "objects": list(found.objects),
        }
        console.raw(dumps(plain, indent=2) + "\n")
        return
    for name in found.checks:
        console.say(f"would check {name}: {TITLES[name]}")
    for one in found.objects:
        console.say(f"would create {one['kind']} {one['metadata']['name']}, and remove it at the end")
    if found.objects:
        console.say(f"would run {len(found.pod_hosts)} pods: {', '.join(host.name for host in found.pod_hosts)}")
