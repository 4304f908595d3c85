"""Which flags a version of a component knows, from measurements of real binaries and the history of flags.

For a minor between two measured ones: what both know is known, what neither knows is unknown; where they differ the
history decides, and what is still open is unproven. Nothing outside the measured minors is guessed.
Sources: data/component-flags.json, data/etcd-flags.json (binaries), data/flag-history.yaml (release notes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any

import yaml

KUBERNETES_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
COMPONENTS_WITH_FLAGS = ("etcd", *KUBERNETES_COMPONENTS)


class Knowledge(Enum):
    """What is known about a flag: HIDDEN ones are accepted but not printed by --help."""

    KNOWN = "known"
    HIDDEN = "hidden"
    UNKNOWN = "unknown"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Change:
    """A flag, plugin or gate that was removed or deprecated; `since` is "" where only a span is known."""

    name: str
    since: str
    instead: str
    source: str


@dataclass(frozen=True, slots=True)
class _Table:
    minors: tuple[str, ...]
    shown: Mapping[str, frozenset[str]]
    hidden: Mapping[str, frozenset[str]]

    def accepts(self, minor: str, flag: str) -> bool:
        return flag in self.shown[minor] or flag in self.hidden[minor]


def minor_key(minor: str) -> tuple[int, int]:
    """Return a minor such as "1.20" as numbers that compare."""
    major, rest = minor.split(".")
    return int(major), int(rest)


def known(component: str, minor: str, flag: str) -> Knowledge:
    """Return what is known about a flag, without dashes, of a component at a minor such as "1.20" (etcd: "3.5")."""
    table = _tables()[component]
    if minor in table.minors:
        if flag in table.hidden[minor]:
            return Knowledge.HIDDEN
        return Knowledge.KNOWN if flag in table.shown[minor] else Knowledge.UNKNOWN
    before = [one for one in table.minors if minor_key(one) < minor_key(minor)]
    after = [one for one in table.minors if minor_key(one) > minor_key(minor)]
    if not before:
        return Knowledge.UNPROVEN
    gone = removal(component, flag)
    if gone is not None and gone.since:
        if minor_key(minor) >= minor_key(gone.since):
            return Knowledge.UNKNOWN
        if table.accepts(before[-1], flag):
            return Knowledge.HIDDEN if flag in table.hidden[before[-1]] else Knowledge.KNOWN
    if not after:
        followed = component == "etcd" and minor == "3.6" and not flag.startswith("experimental-")
        return Knowledge.KNOWN if followed and table.accepts(before[-1], flag) else Knowledge.UNPROVEN
    low, high = table.accepts(before[-1], flag), table.accepts(after[0], flag)
    if low and high:
        hidden = flag in table.hidden[before[-1]] and flag in table.hidden[after[0]]
        return Knowledge.HIDDEN if hidden else Knowledge.KNOWN
    return Knowledge.UNPROVEN if low or high else Knowledge.UNKNOWN


def flags_of(component: str, minor: str) -> frozenset[str]:
    """Return every flag that is known at a minor, hidden ones included."""
    names = {
        flag
        for sets in (_tables()[component].shown, _tables()[component].hidden)
        for one in sets.values()
        for flag in one
    }
    return frozenset(flag for flag in names if known(component, minor, flag) in {Knowledge.KNOWN, Knowledge.HIDDEN})


def removal(component: str, flag: str) -> Change | None:
    """Return when a flag was removed and what replaced it, or None where the history does not say."""
    return _change("removed", component, flag)


def deprecation(component: str, minor: str, flag: str) -> Change | None:
    """Return the deprecation of a flag that holds at a minor, or None."""
    change = _change("deprecated", component, flag)
    return change if change is not None and minor_key(minor) >= minor_key(change.since) else None


def last_measured_with(component: str, flag: str) -> str:
    """Return the newest measured minor that accepts a flag, or an empty text."""
    table = _tables()[component]
    found = [minor for minor in table.minors if table.accepts(minor, flag)]
    return found[-1] if found else ""


def first_measured_with(component: str, flag: str) -> str:
    """Return the oldest measured minor that accepts a flag, or an empty text."""
    table = _tables()[component]
    found = [minor for minor in table.minors if table.accepts(minor, flag)]
    return found[0] if found else ""


def first_measured_without(component: str, flag: str) -> str:
    """Return the first measured minor after the last one that accepts a flag, or an empty text."""
    last = last_measured_with(component, flag)
    later = [minor for minor in _tables()[component].minors if last and minor_key(minor) > minor_key(last)]
    return later[0] if later else ""


def removed_plugin(name: str, minor: str) -> Change | None:
    """Return the removal of an admission plugin that holds at a minor, or None."""
    return _removed("admissionPlugins", name, minor)


def removed_gate(name: str, minor: str) -> Change | None:
    """Return the removal of a feature gate that holds at a minor, or None."""
    return _removed("featureGates", name, minor)


def _removed(section: str, name: str, minor: str) -> Change | None:
    for entry in _history()[section]:
        if entry["name"] == name and minor_key(minor) >= minor_key(entry["since"]):
            return Change(name, entry["since"], entry["instead"], entry["source"])
    return None


def _change(section: str, component: str, flag: str) -> Change | None:
    owners = {component, "klog"} if component in KUBERNETES_COMPONENTS else {component}
    for entry in _history()[section]:
        if entry["component"] in owners and flag in entry["flags"]:
            return Change(flag, entry.get("since", ""), entry["instead"], entry["source"])
    return None


@cache
def _tables() -> Mapping[str, _Table]:
    found: dict[str, _Table] = {}
    for file in ("component-flags.json", "etcd-flags.json"):
        data = json.loads(_data(file))
        for component, minors in data["components"].items():
            hidden = data.get("hidden", {}).get(component, {})
            found[component] = _Table(
                tuple(sorted(minors, key=minor_key)),
                {minor: frozenset(flags) for minor, flags in minors.items()},
                {minor: frozenset(hidden.get(minor, ())) for minor in minors},
            )
    return found


@cache
def _history() -> Mapping[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_data("flag-history.yaml"))
    return loaded


def _data(name: str) -> str:
    return (resources.files("generator.spec") / "data" / name).read_text(encoding="utf-8")
