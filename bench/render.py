"""`make bench-render`: render clusters of 10 to 3,000 hosts, against a loop that writes the bytes and against Kapitan.

What is measured, in turn, several times each:

- cold: `invoke render`, the whole process, with its certificates issued and rendered/ missing;
- unchanged: `invoke render` on a tree that is current, and `invoke render --check`;
- the same as library calls in a fresh process, without the start of the interpreter and the imports;
- the floor: a program that writes the same bytes to the same tree, in place and beside with a rename;
- Kapitan: `kapitan compile` of fourteen small files for each host; it has no cheaper way when nothing changed.

Issuing certificates is measured apart, by a first render of a new cluster.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

from bench import kapitan_tree, peers
from bench.measuring import Run, alternated, figures, machine, run, spread
from bench.results import RESULTS, save
from bench.workspace import CLUSTER, identity_path, make_workspace
from generator.render.tree import read_tree

_REPOSITORY = Path(__file__).resolve().parents[1]
_INVOKE = Path(sys.executable).parent / "invoke"


class Case:
    """One size of cluster, and everything that is measured with it."""

    def __init__(self, folder: Path, hosts: int) -> None:
        self.hosts = hosts
        self.root = folder / f"hosts-{hosts}"
        self.packed = folder / f"hosts-{hosts}.packed"
        self.rendered = self.root / "rendered" / CLUSTER
        shutil.rmtree(self.root, ignore_errors=True)
        make_workspace(self.root, hosts)

    def verb(self, *words: str) -> Run:
        """Run a verb on the cluster, as an operator does."""
        env = {"SLIPWAY_ROOT": str(self.root), "SLIPWAY_IDENTITY": str(identity_path(self.root))}
        return run([_INVOKE, "--search-root", _REPOSITORY, *words], env=env)

    def cold(self) -> Run:
        """Render into a folder that is not there."""
        shutil.rmtree(self.rendered, ignore_errors=True)
        return self.verb("render")

    def step(self, name: str) -> dict[str, Any]:
        """Return what one library call took in a process of its own."""
        if name == "render":
            shutil.rmtree(self.rendered, ignore_errors=True)
        done = run([sys.executable, "-m", "bench.render_once", self.root, name], cwd=_REPOSITORY)
        found: dict[str, Any] = json.loads(done.output.splitlines()[-1])
        return found

    def floor(self, how: str) -> Run:
        """Write the same bytes to a folder that is not there; its last line is the time of the writing alone."""
        folder = self.root / "floor"
        shutil.rmtree(folder, ignore_errors=True)
        program = Path(__file__).parent / "tree_floor.py"
        return run([sys.executable, "-S", program, self.packed, folder, how])

    def measured(self, runs: int) -> dict[str, Any]:
        """Return all figures of Slipway and of the floor."""
        first = run([sys.executable, "-m", "bench.render_once", self.root, "issue"], cwd=_REPOSITORY)
        issued = json.loads(first.output.splitlines()[-1])
        self.verb("render")
        tree = read_tree(self.rendered)
        self.packed.write_bytes(pickle.dumps(tree))
        cold, plain, swapped = alternated(runs, self.cold, lambda: self.floor("plain"), lambda: self.floor("swapped"))
        unchanged, checked = alternated(runs, lambda: self.verb("render"), lambda: self.verb("render", "--check"))
        calls = {name: [self.step(name)["seconds"] for _ in range(runs)] for name in ("load", "render", "check")}
        return {
            "hosts": self.hosts,
            "files": len(tree),
            "bytes": sum(map(len, tree.values())),
            "issue": {"seconds": round(issued["seconds"], 3), "made": issued["made"]},
            "cold": figures(cold),
            "unchanged": figures(unchanged),
            "check": figures(checked),
            "calls": {name: spread(seconds) for name, seconds in calls.items()},
            "floorPlain": {**figures(plain), "writing": spread([float(one.output) for one in plain])},
            "floorSwapped": {**figures(swapped), "writing": spread([float(one.output) for one in swapped])},
        }


def kapitan(folder: Path, hosts: int, runs: int, most: float) -> dict[str, Any]:
    """Return what Kapitan takes to compile fourteen files for as many targets, the whole process."""
    root = folder / f"kapitan-{hosts}"
    shutil.rmtree(root, ignore_errors=True)
    kapitan_tree.make_tree(root, hosts)
    program = peers.programs("kapitan") / "kapitan"
    found: list[Run] = []
    for _ in range(runs):
        shutil.rmtree(root / "compiled", ignore_errors=True)
        found.append(run([program, "compile"], cwd=root, most=most))
        if not found[-1].ended:
            break
    files = sum(path.is_file() for path in (root / "compiled").rglob("*"))
    return {**figures(found), "files": files}


def main() -> None:
    """Measure, write bench/results/render.json and print it."""
    parser = argparse.ArgumentParser(description="Measure render.")
    parser.add_argument("--hosts", default="10,100,1000,3000", help="sizes of cluster, separated by commas")
    parser.add_argument("--runs", type=int, default=5, help="how often each thing is measured")
    parser.add_argument("--kapitan-runs", type=int, default=3, help="the same for Kapitan; 0 leaves it out")
    parser.add_argument("--kapitan-seconds", type=float, default=600, help="when one of its runs is given up")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    options = parser.parse_args()
    folder = peers.work_folder("render")
    found: dict[str, Any] = {"machine": machine(), "peer": peers.version("kapitan"), "cases": []}
    for hosts in (int(word) for word in options.hosts.split(",")):
        case = Case(folder, hosts).measured(options.runs)
        if options.kapitan_runs:
            # A large compile varies little against its length; the machine's time is better spent elsewhere.
            times = options.kapitan_runs if hosts <= 1000 else 1
            case["kapitan"] = kapitan(folder, hosts, times, options.kapitan_seconds)
        found["cases"].append(case)
        print(json.dumps(case), flush=True)
        save("render", found, options.results)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
