"""One step of a render in a process of its own, as a library call; prints its seconds and what it found as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bench.workspace import CLUSTER, identity_path
from generator.pki.issue import issue
from generator.render import check, current_tree, render_cluster
from generator.sealing import identity_once
from generator.spec import load
from verbs.rendering import utc_now


def main(root: Path, step: str) -> dict[str, Any]:
    """Do a step and return its seconds: load, issue, tree (in memory), render (all, written), check."""
    os.environ["SLIPWAY_IDENTITY"] = str(identity_path(root))
    cluster = None if step in {"load", "render", "check"} else load(root, CLUSTER)
    began = time.perf_counter()
    found: dict[str, Any] = {}
    match step:
        case "load":
            found["hosts"] = len(load(root, CLUSTER).hosts)
        case "issue" if cluster:
            report = issue(cluster, root / "clusters" / CLUSTER, clock=utc_now, identity=identity_once())
            found["made"] = len(report.made)
        case "tree" if cluster:
            found["files"] = len(current_tree(root, cluster))
        case "render":
            found["files"] = render_cluster(root, CLUSTER, clock=utc_now, identity=identity_once()).files
        case "check":
            found["differences"] = len(check(root, CLUSTER))
        case _:
            raise SystemExit(f"no step {step}")
    return {"seconds": time.perf_counter() - began, **found}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
