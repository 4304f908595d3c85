"""`make bench-push`: push to farms of 50 and 200 targets, against bare connections, Ansible and pyinfra.

In this order: the first push (files and small stand-ins for the binaries), binaries of the real size to a few targets,
everything put in place as an apply would, then in turn the push that finds nothing to do and the floor, then one file
changed on every host. The peers copy a part of the same files, first, again, and with one of them changed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import peers
from bench.copying_peers import Copying
from bench.farm import Farm, farm
from bench.farm_cluster import FarmCluster
from bench.measuring import Run, alternated, figures, machine, spread
from bench.results import RESULTS, save
from fleet.tree import load as load_tree

_AT_ONCE = 50
_BINARY_TARGETS = 4


def slipway(cluster: FarmCluster, runs: int) -> dict[str, Any]:
    """Return the figures of Slipway and of the floor."""
    tree = load_tree(cluster.rendered)
    files = [[item for item in host.items if item.blob] for host in tree.hosts.values()]
    found: dict[str, Any] = {
        "filesPerHost": [min(map(len, files)), max(map(len, files))],
        "bytes": sum(len(item.content) for host in files for item in host),
    }
    with_binaries = cluster.push()
    cluster.forget()
    files_alone = cluster.push()
    cluster.program("bench.push_once", "install", cluster.root)
    cluster.push()
    floor: list[str | Path] = ["bench.connection_floor", cluster.farm.known_hosts, cluster.farm.key, str(_AT_ONCE)]
    addresses = [str(target.address) for target in cluster.farm.targets]
    no_change, call, floors = alternated(
        runs,
        cluster.push,
        lambda: cluster.program("bench.push_once", "push", cluster.root),
        lambda: cluster.program(*floor, *addresses),
    )
    changed = []
    for number in range(max(1, runs // 2)):
        cluster.change(100 + number)
        changed.append(cluster.push())
        cluster.program("bench.push_once", "install", cluster.root)
    calls = [json.loads(one.output.splitlines()[-1]) for one in call]
    entering = [float(one.output.splitlines()[-1]) for one in floors]
    inside = [one["seconds"] for one in calls]
    return {
        **found,
        "firstWithBinaries": figures([with_binaries]),
        "first": figures([files_alone]),
        "noChange": figures(no_change),
        "oneFile": figures(changed),
        "noChangeCall": {**spread(inside), "read": round(statistics.median(one["read"] for one in calls), 3)},
        "floor": {**figures(floors), "entering": spread(entering)},
    }


def binaries(made: Farm, root: Path, size: int) -> dict[str, Any]:
    """Return what binaries of the real size take to a few targets, through SSH."""
    few = Farm(made.folder, made.targets[:_BINARY_TARGETS], made.key, made.known_hosts)
    cluster = FarmCluster(few, root, size)
    sent = sum(path.stat().st_size for path in cluster.source.rglob("*") if path.is_file())
    pushed = figures([cluster.push()])
    for target in few.targets:
        for folder in ("opt", "var/lib/slipway"):
            shutil.rmtree(target.root / folder, ignore_errors=True)
    shutil.rmtree(root)
    return {"targets": len(few.targets), "artifactBytes": sent, "push": pushed}


def copied(one: Callable[[], Run], change: Callable[[str], None], runs: int) -> dict[str, Any]:
    """Return what a peer takes first, again, and with one file changed; what its time ends, ends the rest too."""
    first = one()
    found: dict[str, Any] = {"first": figures([first])}
    if not first.ended:
        return found
    found["noChange"] = figures([one() for _ in range(runs)])
    change("changed")
    found["oneFile"] = figures([one()])
    return found


def measured(targets: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of one farm."""
    folder = peers.work_folder("push")
    with farm(targets) as made:
        found: dict[str, Any] = {"targets": targets}
        if options.binary_bytes:
            found["binaries"] = binaries(made, folder / "binaries", options.binary_bytes)
        cluster = FarmCluster(made, folder / "cluster")
        found["slipway"] = slipway(cluster, options.runs)
        few = options.peer_files if targets <= options.peer_files_up_to else options.peer_files_beyond
        if few and options.peer_runs:
            copying = Copying(cluster, folder / "peers", few)
            found["peerFiles"] = copying.most_files
            most = options.peer_seconds
            found["pyinfra"] = copied(lambda: copying.pyinfra(most), copying.change, options.peer_runs)
            for forks in options.forks.split(","):
                for target in made.targets:
                    shutil.rmtree(target.root / "opt/ansible", ignore_errors=True)
                work = int(forks)
                found[f"ansible{forks}"] = copied(
                    lambda work=work: copying.ansible(work, most),  # type: ignore[misc]
                    copying.change,
                    options.peer_runs,
                )
    shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> None:
    """Measure, write bench/results/push.json and print it."""
    parser = argparse.ArgumentParser(description="Measure push.")
    parser.add_argument("--targets", default="50,200", help="sizes of farm, separated by commas")
    parser.add_argument("--runs", type=int, default=5, help="how often each thing is measured")
    parser.add_argument("--forks", default="50,5", help="forks of Ansible, separated by commas")
    parser.add_argument("--peer-runs", type=int, default=2, help="unchanged runs of each peer; 0 leaves the peers out")
    parser.add_argument("--peer-files", type=int, default=20, help="files of each host that the peers copy")
    parser.add_argument("--peer-files-up-to", type=int, default=50, help="on farms up to this size")
    parser.add_argument("--peer-files-beyond", type=int, default=5, help="and on larger ones")
    parser.add_argument("--peer-seconds", type=float, default=600, help="when one run of a peer is given up")
    parser.add_argument("--binary-bytes", type=int, default=24_000_000, help="size of each program; 0: no binaries")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    options = parser.parse_args()
    versions = [peers.version(peer) for peer in ("ansible", "pyinfra")]
    found: dict[str, Any] = {"machine": machine(), "peers": versions, "cases": []}
    for targets in (int(word) for word in options.targets.split(",")):
        found["cases"].append(measured(targets, options))
        print(json.dumps(found["cases"][-1]), flush=True)
        save("push", found, options.results)


if __name__ == "__main__":
    main()
