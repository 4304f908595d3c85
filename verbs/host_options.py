"""What verbs that work on hosts share: their options in words, what these come to, and what a run stands on."""

from __future__ import annotations

import sys
from pathlib import Path

from fleet.cluster_client import open_cluster_api
from fleet.options import Options
from fleet.reporter import reporter
from fleet.standing import Fleet, ssh_fleet
from fleet.tree import load as load_tree
from generator.errors import WorkspaceError
from generator.sealing import identity_once
from verbs.workspace import Place

LIMIT = "only these hosts: names, pool names or patterns such as worker-0*, separated by commas"
PHASE = "only these phases, separated by commas"
SOURCE = "a directory of binaries laid out like a mirror; else the mirror or official address in bom.yaml"
STALE_OK = "emergency: go on although rendered/ is not what the inputs give"
SKIP = "go on without hosts that do not answer, never below etcd's quorum"
AS_JSON = "for programs: JSON instead of text"
PLAN_STYLES = {
    "phase": "bold",
    "host": "cyan",
    "add": "green",
    "change": "yellow",
    "remove": "red",
    "act": "magenta",
    "note": "yellow",
    "sum": "bold",
}
BREAK_LOCK = "take the cluster's lock from its holder, whose name is shown"
GATE_TIMEOUT = "wait at most so many seconds for each health gate; else what each kind of gate takes"
WAIT = "wait at most so many minutes for the lock while another run holds it"
SKIP_CHECKS = "leave out these checks of the preflight, by name, separated by commas"
DEEP = "read every file on the hosts again instead of trusting size and time"


def fleet_of(place: Place, options: Options, *, as_json: bool) -> Fleet:
    """Return what a run stands on: the tree as rendered, SSH, the operator's identity."""
    tree = load_tree(place.rendered)
    ssh = ssh_fleet(tree, place.inputs)
    identity = identity_once()
    return Fleet(
        tree=tree,
        cluster_dir=place.inputs,
        options=options,
        reporter=reporter(as_json=as_json),
        connector=ssh.connect,
        open_api=lambda session: open_cluster_api(tree, place.inputs, session.connect, options, identity),
        identity=identity,
    )


def words(text: str | None) -> tuple[str, ...]:
    """Return the words of a comma-separated option."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def gate_seconds(timeout: int) -> float | None:
    """Return the longest wait for each gate that an option names, in seconds; None for 0, which it is by default."""
    return float(timeout) if timeout else None


def typed_command() -> str:
    """Return the command as the operator typed it, for the lock and the journal."""
    return " ".join(["invoke", *sys.argv[1:]])


def folder(text: str | None) -> Path | None:
    """Return a directory that an option names; raises WorkspaceError where it is none."""
    if text is None:
        return None
    path = Path(text).expanduser()
    if not path.is_dir():
        raise WorkspaceError(f"--source {text}: no such directory; name the folder that holds kubernetes/, etcd/, …")
    return path
