"""Which module holds which verb, so that a run reads only the modules of the verbs that it names.

Reading all of them takes a second, most of it for SSH and templates that `invoke render` never touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import PurePath

from invoke.collection import Collection
from invoke.tasks import Task

VERBS: Mapping[str, tuple[str, ...]] = {
    "new": ("new", "validate"),
    "rendering": ("lock", "render", "diff", "explain"),
    "preflight": ("preflight",),
    "running": ("plan", "push", "apply", "kubeconfig"),
    "rollback": ("rollback",),
    "restore": ("restore",),
    "booting": ("user-data", "seed"),
    "status": ("status",),
    "verify": ("verify",),
    "demo": ("demo",),
    "ci": ("ci.validate", "ci.dockerfile", "ci.values"),
    "ci_new": ("ci.new",),
    "ci_jobs": ("ci.jobs",),
    "ci_pipeline": ("ci.stages", "ci.scan", "ci.notify"),
    "ci_unit": ("ci.unit",),
    "ci_machines": ("ci.deploy",),
    "ci_recover": ("ci.recover",),
    "ci_trigger": ("ci.trigger",),
    "ci_pods": ("ci.logs", "ci.shell"),
}
"""The verbs by the module of this package that holds them."""

GROUPS = ("addons", "certs", "etcd", "hosts", "lab", "secrets")
"""Modules with a collection of their own, whose verbs have the module's name and a dot before theirs."""

_PROGRAMS = frozenset({"invoke", "inv", "slipway"})


def named_in(argv: Sequence[str]) -> frozenset[str] | None:
    """Return the modules of the verbs that a command line names, None where all may be needed.

    All are needed for a list of them, for a word that is none of them, and by any other program than invoke. A value of
    an option that reads like a verb only brings a module more.
    """
    program, *words = argv or [""]
    listing = any(word.startswith(("--list", "-l", "--complete")) for word in words)
    if listing or PurePath(program).name not in _PROGRAMS:
        return None
    found = {module for module, verbs in VERBS.items() if not set(verbs).isdisjoint(words)}
    found |= {group for group in GROUPS if any(word.startswith(f"{group}.") for word in words)}
    return frozenset(found) or None


def collection(modules: Iterable[str] | None = None) -> Collection:
    """Return the verbs of some modules as invoke takes them; of all modules where none are named."""
    wanted = frozenset((*VERBS, *GROUPS) if modules is None else modules)
    made = Collection()
    groups: dict[str, Collection] = {}
    for name, verbs in VERBS.items():
        if name in wanted:
            held = vars(import_module(f"verbs.{name}")).values()
            by_name = {one.name: one for one in held if isinstance(one, Task)}
            for verb in verbs:
                group, _, own = verb.rpartition(".")
                (groups.setdefault(group, Collection(group)) if group else made).add_task(by_name[own])
    for of_group in groups.values():
        made.add_collection(of_group)
    for name in GROUPS:
        if name in wanted:
            made.add_collection(import_module(f"verbs.{name}").namespace, name=name)
    return made
