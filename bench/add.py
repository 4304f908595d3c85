"""`make bench-add`: one worker added to a cluster of 1,000 hosts.

The cluster is rendered whole; of its hosts only the control plane and the new worker are there, on a farm. All others
have addresses that lead nowhere, so a run that wants to speak to one of them fails. What is measured is everything that
comes before something is activated: render after the new line in the spec, `plan --limit`, `push --limit` with
small stand-ins for the binaries, and who was contacted, by the log-ins that the targets saw.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from bench import peers
from bench.farm import Farm, farm
from bench.farm_cluster import FarmCluster
from bench.measuring import figures, machine
from bench.results import RESULTS, save
from bench.workspace import CONTROL
from lab.cluster import write_spec

_LOGGED_IN = re.compile(rb"^Accepted publickey ", re.MULTILINE)


def log_ins(made: Farm) -> dict[str, int]:
    """Return how often somebody has logged in to each target."""
    return {target.name: len(_LOGGED_IN.findall((target.folder / "sshd.log").read_bytes())) for target in made.targets}


def measured(made: Farm, root: Path, hosts: int, runs: int) -> dict[str, Any]:
    """Return what it takes to add the last target of a farm to a cluster that has the others and many more."""
    cluster = FarmCluster(made, root, beyond=hosts - CONTROL)
    new = f"target-{CONTROL:03d}"
    line = cluster.spec["hosts"].pop(new)
    write_spec(cluster.inputs / "cluster.yaml", cluster.spec)
    cluster.verb("render")
    cluster.push("--limit", "control")
    cluster.program("bench.push_once", "install", cluster.root, "control")
    cluster.push("--limit", "control")
    cluster.spec["hosts"][new] = line
    write_spec(cluster.inputs / "cluster.yaml", cluster.spec)
    rendered = cluster.verb("render")
    changed = [text.strip() for text in rendered.output.splitlines() if text.startswith(("  +", "  ~", "  -"))]
    before = log_ins(made)
    planned = [cluster.verb("plan", "--limit", new, accept=(2,)) for _ in range(runs)]
    after_plans = log_ins(made)
    pushed = cluster.push("--limit", new)
    after = log_ins(made)
    return {
        "hosts": hosts,
        "render": figures([rendered]),
        "changed": changed,
        "plan": figures(planned),
        "planContacts": {name: (after_plans[name] - before[name]) / runs for name in before},
        "push": figures([pushed]),
        "pushContacts": {name: after[name] - after_plans[name] for name in before},
    }


def main() -> None:
    """Measure, write bench/results/add.json and print it."""
    parser = argparse.ArgumentParser(description="Measure how a worker is added.")
    parser.add_argument("--hosts", type=int, default=1000, help="how many hosts the cluster has before")
    parser.add_argument("--runs", type=int, default=5, help="how often the plan is measured")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    options = parser.parse_args()
    folder = peers.work_folder("add")
    found = {"machine": machine()}
    with farm(CONTROL + 1) as made:
        found.update(measured(made, folder / "cluster", options.hosts, options.runs))
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found))
    save("add", found, options.results)


if __name__ == "__main__":
    main()
