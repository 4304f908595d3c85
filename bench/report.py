"""Write docs/benchmarks.md: its figures from bench/results, its words from bench/words.md beside this program.

In the words a line `{{render}}`, `{{push}}`, `{{add}}` or `{{bring-up}}` stands for the tables of that benchmark. What
has not been measured is said to be so, never filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results import RESULTS, read

_HERE = Path(__file__).parent
PAGE = _HERE.parent / "docs" / "benchmarks.md"
WORDS = _HERE / "words.md"
_SLOT = re.compile(r"^\{\{([a-z-]+)\}\}$", re.MULTILINE)


def page(results: Path = RESULTS) -> str:
    """Return the page as Markdown."""
    makers = {"render": render_tables, "push": push_tables, "add": add_tables, "bring-up": bring_up_tables}

    def filled(match: re.Match[str]) -> str:
        found = read(match[1], results)
        if found is None:
            return f"Not measured yet; `make bench-{match[1]}` does it."
        return f"{_machine(found['machine'])}\n\n{makers[match[1]](found)}"

    return _SLOT.sub(filled, WORDS.read_text("utf-8"))


def render_tables(found: Mapping[str, Any]) -> str:
    """Return the tables of render: what it takes, and how that compares."""
    cases = found["cases"]
    sizes = [f"{case['hosts']:,}" for case in cases]
    rows: list[tuple[str, list[str]]] = [
        ("files", [f"{case['files']:,}" for case in cases]),
        ("MiB", [f"{case['bytes'] / 2**20:.1f}" for case in cases]),
        ("`invoke render`, cold", [_seconds(case["cold"]) for case in cases]),
        ("`invoke render`, unchanged", [_seconds(case["unchanged"]) for case in cases]),
        ("`invoke render --check`", [_seconds(case["check"]) for case in cases]),
        ("peak memory of these", [f"{max(case[key]['peakMiB'] for key in _VERBS):.0f} MiB" for case in cases]),
        ("cold, library call", [_seconds(case["calls"]["render"]) for case in cases]),
        ("check, library call", [_seconds(case["calls"]["check"]) for case in cases]),
        ("loading the spec alone, library call", [_seconds(case["calls"]["load"]) for case in cases]),
        ("issuing, once, library call", [_issued(case["issue"]) for case in cases]),
        ("floor, process", [_seconds(case["floorSwapped"]) for case in cases]),
        ("floor, writing alone", [_seconds(case["floorSwapped"]["writing"]) for case in cases]),
        ("floor in place, writing alone", [_seconds(case["floorPlain"]["writing"]) for case in cases]),
        (f"{found['peer']}, process", [_seconds(case.get("kapitan")) for case in cases]),
        ("CPU seconds, cold", [_cpu(case["cold"]) for case in cases]),
        ("CPU seconds, unchanged", [_cpu(case["unchanged"]) for case in cases]),
        ("CPU seconds, floor", [_cpu(case["floorSwapped"]) for case in cases]),
        ("CPU seconds, Kapitan", [_cpu(case.get("kapitan")) for case in cases]),
    ]
    ratios = [
        ("cold ÷ floor, processes", 3.0, [_ratio(case["cold"], case["floorSwapped"]) for case in cases]),
        (
            "cold ÷ floor, library call ÷ writing",
            3.0,
            [_ratio(case["calls"]["render"], case["floorSwapped"]["writing"]) for case in cases],
        ),
        ("Kapitan ÷ cold", -15.0, [_ratio(case.get("kapitan"), case["cold"]) for case in cases]),
        ("Kapitan ÷ unchanged", -100.0, [_ratio(case.get("kapitan"), case["unchanged"]) for case in cases]),
        ("by CPU: cold ÷ floor", 3.0, [_cpu_ratio(case["cold"], case["floorSwapped"]) for case in cases]),
        ("by CPU: Kapitan ÷ cold", -15.0, [_cpu_ratio(case.get("kapitan"), case["cold"]) for case in cases]),
        ("by CPU: Kapitan ÷ unchanged", -100.0, [_cpu_ratio(case.get("kapitan"), case["unchanged"]) for case in cases]),
        (
            "Kapitan ÷ check, library call",
            -100.0,
            [_ratio(case.get("kapitan"), case["calls"]["check"]) for case in cases],
        ),
    ]
    return "\n\n".join((_table(("hosts", *sizes), rows), _ratio_table(("hosts", *sizes), ratios)))


_VERBS = ("cold", "unchanged", "check")


def push_tables(found: Mapping[str, Any]) -> str:
    """Return the tables of push for each size of farm."""
    cases = found["cases"]
    sizes = [f"{case['targets']:,} targets" for case in cases]
    ours = [case["slipway"] for case in cases]
    rows = [
        ("files of a host", [f"{one['filesPerHost'][0]} to {one['filesPerHost'][1]}" for one in ours]),
        ("first push, with stand-ins for binaries", [_seconds(one["firstWithBinaries"]) for one in ours]),
        ("first push, files alone", [_seconds(one["first"]) for one in ours]),
        ("push, one file changed on every host", [_seconds(one["oneFile"]) for one in ours]),
        ("push, nothing to do", [_seconds(one["noChange"]) for one in ours]),
        ("… the library call, tree read", [_seconds(one["noChangeCall"]) for one in ours]),
        ("… reading the tree", [f"{one['noChangeCall']['read']:.2f} s" for one in ours]),
        ("floor, process", [_seconds(one["floor"]) for one in ours]),
        ("floor, entering and `true` alone", [_seconds(one["floor"]["entering"]) for one in ours]),
        ("CPU seconds here, nothing to do", [_cpu(one["noChange"]) for one in ours]),
        ("CPU seconds here, floor", [_cpu(one["floor"]) for one in ours]),
    ]
    tables = [_table(("Slipway", *sizes), rows)]
    peers: list[tuple[str, list[str]]] = [
        ("files of a host that they copy", [str(case.get("peerFiles", "-")) for case in cases])
    ]
    for name, key in _COPIERS:
        for step, words in (("first", "first"), ("noChange", "nothing to do"), ("oneFile", "one file changed")):
            peers.append((f"{name}, {words}", [_seconds(case.get(key, {}).get(step)) for case in cases]))
    tables.append(_table((" and ".join(found["peers"]), *sizes), peers))
    ratios = [
        ("nothing to do ÷ floor, processes", 1.5, [_ratio(one["noChange"], one["floor"]) for one in ours]),
        (
            "nothing to do ÷ floor, library call ÷ entering",
            1.5,
            [_ratio(one["noChangeCall"], one["floor"]["entering"]) for one in ours],
        ),
        *(
            (f"{name}, nothing to do ÷ Slipway", aim, [_peer_ratio(case, key) for case in cases])
            for (name, key), aim in zip(_COPIERS, (-5.0, -50.0, None), strict=True)
        ),
    ]
    tables.append(_ratio_table(("", *sizes), ratios))
    for case in cases:
        if "binaries" in case:
            one = case["binaries"]
            rate = one["artifactBytes"] * one["targets"] / one["push"]["seconds"] / 2**20
            tables.append(
                f"Binaries, through SSH to {one['targets']} targets at once: {one['artifactBytes'] / 2**20:.0f} MiB of "
                f"artifacts in {one['push']['seconds']:.1f} s; were every target to get all of them, {rate:.0f} MiB/s."
            )
            break
    return "\n\n".join(tables)


_COPIERS = (("pyinfra", "pyinfra"), ("Ansible, 50 forks", "ansible50"), ("Ansible, 5 forks", "ansible5"))


def add_tables(found: Mapping[str, Any]) -> str:
    """Return the table of adding a worker."""
    contacts = {key: sum(1 for count in found[key].values() if count) for key in ("planContacts", "pushContacts")}
    rows = [
        ("`invoke render` after the new line", [_seconds(found["render"]), "none"]),
        ("`invoke plan --limit` the new host", [_seconds(found["plan"]), str(contacts["planContacts"])]),
        ("`invoke push --limit` the new host", [_seconds(found["push"]), str(contacts["pushContacts"])]),
    ]
    changed = "\n".join(f"    {line}" for line in found["changed"])
    table = _table((f"one worker more in {found['hosts']:,} hosts", "seconds", "hosts contacted"), rows)
    return f"{table}\n\nWhat the render changes:\n\n{changed}"


def bring_up_tables(found: Mapping[str, Any]) -> str:
    """Return the table of a bring-up, phases of the median run."""
    runs = sorted(found["runs"], key=lambda one: float(one["seconds"]))
    middle = runs[len(runs) // 2]
    rows = [
        (
            one["phase"],
            [f"{one['seconds']:.1f}", ", ".join(f"{gate} {took:.1f}" for gate, took in one["longestGates"].items())],
        )
        for one in middle["phases"]
    ]
    rows.append(("all", [f"{middle['seconds']:.1f}", ""]))
    head = (
        f"{found['hosts']} hosts, {found['controlPlane']} of them with the control plane; "
        f"{found['otherLabHosts']} other lab hosts on the machine; {_seconds(found['all'])} in all."
    )
    return f"{head}\n\n{_table(('phase', 'seconds', 'longest wait of its gates'), rows)}"


def _machine(facts: Mapping[str, Any]) -> str:
    text = (
        f"Measured {facts['date']}: {facts['cores']} cores, {facts['memoryGiB']} GiB, kernel {facts['kernel']}, Python "
        f"{facts['python']}; cores busy before: {facts.get('busyBefore', 'not recorded')}; load average of the minute "
        f"before, in which another benchmark may have ended: {facts['loadBefore']}."
    )
    if facts.get("busyBefore", 0.0) > facts["cores"] / 8:
        text += (
            " **The machine was busy with other work**: its seconds are several times those of a quiet one and vary "
            "widely. Read the CPU seconds, and measure again on a quiet machine."
        )
    return text


def _seconds(one: Mapping[str, Any] | None) -> str:
    if not one:
        return "not measured"
    if one.get("ended") is False:
        return f"not ended after {one['most']:.0f} s"
    text = f"{one['seconds']:.2f} s"
    return f"{text} ({one['least']:.2f} to {one['most']:.2f})" if one["runs"] > 1 else text


def _cpu(one: Mapping[str, Any] | None) -> str:
    return f"{one['cpu']:.2f} s" if one and one.get("ended") is not False else "not measured"


def _issued(one: Mapping[str, Any]) -> str:
    return f"{one['seconds']:.2f} s for {one['made']}"


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times one figure is another; `ended` False where one was given up, so that it is more than that."""

    times: float
    ended: bool = True

    def cell(self, aim: float | None) -> str:
        """Return it for a table, marked where it misses its aim or where nobody can say."""
        text = f"{self.times:.0f}x" if self.times >= 10 else f"{self.times:.1f}x"
        if not self.ended:
            text = f"more than {text}"
        if aim is None:
            return text
        above = self.times > aim if aim > 0 else self.times >= -aim
        if not self.ended and not above:
            # What was given up may have gone on for any time, so it may still have come to more than the aim.
            return f"{text}, not known"
        return f"{text}, missed" if above == (aim > 0) else text


def _ratio(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None, unit: str = "seconds") -> Ratio | None:
    # Of what divides there is no bound below: one that was given up says nothing.
    if not one or not other or other.get("ended") is False:
        return None
    return Ratio(float(one[unit]) / float(other[unit]), one.get("ended") is not False)


def _cpu_ratio(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Ratio | None:
    return _ratio(one, other, "cpu")


def _peer_ratio(case: Mapping[str, Any], key: str) -> Ratio | None:
    return _ratio(case.get(key, {}).get("noChange"), case["slipway"]["noChange"])


def _ratio_table(head: Sequence[str], rows: Iterable[tuple[str, float | None, Sequence[Ratio | None]]]) -> str:
    """Return ratios beside their aim: at most so much, or, where it is negative, at least; what misses it is marked."""
    shown = []
    for name, aim, ratios in rows:
        cells = ["not measured" if ratio is None else ratio.cell(aim) for ratio in ratios]
        wanted = "" if aim is None else f"at most {aim:g}x" if aim > 0 else f"at least {-aim:g}x"
        shown.append((name, [*cells, wanted]))
    return _table((*head, "aim"), shown)


def _table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines.extend(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE.relative_to(_HERE.parent)} written")
