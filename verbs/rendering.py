"""Verbs between the spec and the rendered tree."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from invoke.context import Context

from generator.artifacts_lock import LOCK_FILE, lock_from_directory, lock_text
from generator.errors import StaleTreeError
from generator.pki.issue import IssueReport
from generator.render import check, current_tree, diff, render_cluster, rendered_dir
from generator.render.bom import needed_artifacts
from generator.render.explain import explain as explanation
from generator.sealing import identity_once
from generator.spec import load
from verbs import console
from verbs.locking import lock_from_mirror
from verbs.verb import verb
from verbs.workspace import Place, place_of
from verbs.writing import write_text

WHICH = "which cluster; else SLIPWAY_CLUSTER, else the only one"


def utc_now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)


def print_issued(issued: IssueReport) -> None:
    """Print what an issue made, replaced and removed; nothing where it kept everything."""
    if issued.made:
        count = len(issued.made)
        console.say("issued one certificate or secret" if count == 1 else f"issued {count} certificates and secrets")
    for name in issued.replaced:
        console.say(f"replaced {name}: {issued.reasons.get(name, 'it did not match the spec')}")
    for name in issued.removed:
        console.say(f"removed {name}: nothing in the spec asks for it any more")
    for note in issued.notes:
        console.warn(note)


def require_current(place: Place, stale_ok: bool) -> None:
    """Prove that rendered/<c> is what the inputs give; raises StaleTreeError with what differs.

    With `stale_ok` the differences are a warning and the run goes on.
    """
    differences = check(place.root, place.cluster)
    if not differences:
        return
    shown = "\n".join(f"  {line}" for line in differences[:20])
    more = f"\n  … and {len(differences) - 20} more" if len(differences) > 20 else ""
    message = f"rendered/{place.cluster} is not what clusters/{place.cluster} gives:\n{shown}{more}"
    if stale_ok:
        console.warn(message)
        return
    raise StaleTreeError(
        f"{message}\nrun `invoke render --cluster {place.cluster}`, review the diff and commit it "
        "(--stale-ok goes on in an emergency and is written into the journal)",
        differences,
    )


@verb(
    name="render",
    help={"cluster": WHICH, "check": "write nothing; exit 1 where rendered/ is not what the inputs give"},
)
def render(context: Context, cluster: str | None = None, check: bool = False) -> None:
    """Issue what is missing and write rendered/<c>, to be reviewed in git.

    Example: invoke render --cluster prod
    """
    place = place_of(cluster)
    if check:
        require_current(place, stale_ok=False)
        console.say(f"rendered/{place.cluster} is current")
        return
    report = render_cluster(place.root, place.cluster, clock=utc_now, identity=identity_once())
    for warning in report.warnings:
        console.warn(warning)
    print_issued(report.issued)
    lines = report.changes.lines()
    if len(lines) == report.files and not report.changes.removed:
        lines = []
        changed = "all new"
    else:
        changed = f"{len(lines)} changed" if lines else "nothing changed"
    for line in lines[:40]:
        console.say(f"  {line}")
    if len(lines) > 40:
        console.say(f"  … and {len(lines) - 40} more")
    for line in report.sizes:
        console.say(line)
    console.say(f"rendered/{place.cluster}: {report.files} files, {changed}; review with git diff")


@verb(name="diff", help={"cluster": WHICH})
def show_diff(context: Context, cluster: str | None = None) -> int:
    """Show what a render would change, as a unified diff, equal changes folded; exit 2 where there is any.

    Example: invoke diff --cluster prod
    """
    place = place_of(cluster)
    lines = list(
        diff(rendered_dir(place.root, place.cluster), current_tree(place.root, load(place.root, place.cluster)))
    )
    console.diff("\n".join(lines))
    return 2 if lines else 0


@verb(
    name="explain",
    help={
        "what": "a component, flag, field, unit key or file: kubelet.config.maxPods, kube-apiserver.flags, /etc/…",
        "host": "as this host sees it",
        "pool": "as this pool sees it",
        "cluster": WHICH,
    },
    positional=["what"],
)
def explain(
    context: Context, what: str, host: str | None = None, pool: str | None = None, cluster: str | None = None
) -> None:
    """Say for a flag, field, unit key or file what its value is and which layer set it, with file and line.

    Example: invoke explain kubelet.config.maxPods --host worker-1
    """
    place = place_of(cluster)
    for line in explanation(place.root, place.cluster, what, host=host, pool=pool):
        console.say(line)


@verb(
    name="lock",
    help={
        "source": "a directory laid out like a mirror, a mirror's URL, or `official` for the published checksum files",
        "cluster": WHICH,
    },
)
def lock(context: Context, source: str = "official", cluster: str | None = None) -> None:
    """Write the digests of all binaries into artifacts.lock, from what is really read at the source.

    Example: invoke lock --source /srv/mirror --cluster prod
    """
    place = place_of(cluster)
    model = load(place.root, place.cluster)
    needed = needed_artifacts(model)
    if source == "official" or "://" in source:
        found = lock_from_mirror(source, needed)
    else:
        found = lock_from_directory(Path(source).expanduser(), needed)
    path = place.inputs / LOCK_FILE
    write_text(path, lock_text(found))
    console.say(
        f"clusters/{place.cluster}/{LOCK_FILE}: {len(found.entries)} artifacts locked; render again and commit both"
    )
