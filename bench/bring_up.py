"""`make bench-bring-up`: from bare lab hosts to all nodes Ready, by phase, so that the longest is known.

Real systemd hosts of the lab, a real Kubernetes, binaries sent through SSH. The phases and gates are those that
`invoke apply --json` tells. Hosts of these names are made for it and destroyed after it; other lab hosts stay, and so
does the lab's network.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import peers
from bench.measuring import machine, run, spread
from bench.results import RESULTS, save
from generator.sealing import create_identity
from lab import artifacts, network, remote
from lab.cluster import lab_spec, versions_in, write_spec
from lab.lab import Lab

_REPOSITORY = Path(__file__).resolve().parents[1]
_INVOKE = Path(sys.executable).parent / "invoke"
_CLUSTER = "bench"


def phases_of(events: Sequence[Mapping[str, Any]], whole: float) -> list[dict[str, Any]]:
    """Return the phases in the events of an apply, each with its seconds and those that its gates waited in all.

    The first, "before", is what comes ahead of any phase: start, lock, question, plan. `whole` is the length of the
    process in seconds. Gates of several hosts wait at the same time, so their sum can exceed the phase.
    """
    starts = [(one["phase"], float(one["seconds"])) for one in events if one["event"] == "phase"]
    ends = [start for _, start in starts[1:]] + [
        next((float(one["seconds"]) for one in events if one["event"] == "done"), whole)
    ]
    found: list[dict[str, Any]] = []
    for (name, start), end in zip(starts, ends, strict=True):
        gates: dict[str, float] = {}
        for one in events:
            if one["event"] == "gate" and one.get("phase") == name and start <= float(one["seconds"]) <= end:
                gates[one["gate"]] = round(max(gates.get(one["gate"], 0.0), float(one["took"])), 2)
        found.append({"phase": name, "seconds": round(end - start, 2), "longestGates": gates})
    before = starts[0][1] if starts else whole
    return [{"phase": "before", "seconds": round(before, 2), "longestGates": {}}, *found]


def bring_up(lab: Lab, folder: Path, names: Sequence[str], control: int) -> dict[str, Any]:
    """Make a cluster of bare hosts and return its phases; the first `control` hosts carry the control plane."""
    shutil.rmtree(folder, ignore_errors=True)
    addresses = {host.name: str(host.address) for host in lab.hosts}
    binaries = artifacts.build()
    workspace = folder / "workspace"
    inputs = workspace / "clusters" / _CLUSTER
    inputs.mkdir(parents=True)
    recipient = create_identity(folder / "identity", workspace)
    (inputs / "recipients.txt").write_text(f"{recipient}\n")
    spec = lab_spec(
        _CLUSTER,
        control={name: addresses[name] for name in names[:control]},
        workers={name: addresses[name] for name in names[control:]},
        versions=versions_in(binaries),
    )
    write_spec(inputs / "cluster.yaml", spec)
    env = {
        "SLIPWAY_ROOT": str(workspace),
        "SLIPWAY_IDENTITY": str(folder / "identity"),
        "SLIPWAY_SSH_KEY": str(remote.key_path()),
    }
    verb = [*network.entering(network.NAMESPACE), str(_INVOKE), "--search-root", str(_REPOSITORY)]
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=workspace, check=True)
    for words in (["lock", "--source", str(binaries)], ["render"], ["hosts.scan", "--yes"]):
        run([*verb, *words], env=env)
    done = run([*verb, "apply", "--yes", "--json", "--source", str(binaries)], env=env)
    events = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    return {"seconds": round(done.seconds, 1), "cpu": round(done.cpu, 1), "phases": phases_of(events, done.seconds)}


def main() -> None:
    """Measure, write bench/results/bring-up.json and print it."""
    parser = argparse.ArgumentParser(description="Measure a bring-up.")
    parser.add_argument("--names", default="bench-1,bench-2,bench-3,bench-4", help="names of the lab hosts to make")
    parser.add_argument("--control", type=int, default=3, help="how many of them carry the control plane")
    parser.add_argument("--runs", type=int, default=3, help="how often, each time on pristine disks")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    options = parser.parse_args()
    names = options.names.split(",")
    lab = Lab()
    folder = peers.work_folder("bring-up")
    found: dict[str, Any] = {"machine": machine(), "hosts": len(names), "controlPlane": options.control, "runs": []}
    others = {host.name for host in lab.hosts} - set(names)
    found["otherLabHosts"] = len(others)
    lab.up(len(names), names)
    try:
        for number in range(options.runs):
            if number:
                lab.reset(*names)
            found["runs"].append(bring_up(lab, folder / "cluster", names, options.control))
            print(json.dumps(found["runs"][-1]), flush=True)
    finally:
        lab.destroy(*names)
        shutil.rmtree(folder, ignore_errors=True)
    found["all"] = spread([one["seconds"] for one in found["runs"]])
    save("bring-up", found, options.results)


if __name__ == "__main__":
    main()
