"""A workspace with a small tree and hosts without SSH, over which plan, push and apply run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet.options import Options
from fleet.plan_text import plan_lines
from fleet.reporter import SilentReporter
from fleet.runs import plan_run
from fleet.standing import Fleet
from fleet.tree import RenderedTree
from generator.errors import FleetError
from tests.fleet.local_host import LocalHost, LocalHosts, killed_at
from tests.fleet.small_tree import CONTENTS, ITEMS, write_tree

PROGRAM = b"#!/bin/sh\nexec sleep 1000000\n"
DIGEST = hashlib.sha256(PROGRAM).hexdigest()
HOSTS = {f"n{number}": {"pool": "workers", "address": f"10.0.0.{number}"} for number in (1, 2, 3)}


class Place:
    """A workspace with a tree, and hosts to apply it to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = LocalHosts(folder / "hosts")
        self.cluster_dir = folder / "clusters" / "demo"
        self.cluster_dir.mkdir(parents=True)
        (folder / "art").mkdir()
        (folder / "art" / "idle").write_bytes(PROGRAM)
        self.locked = DIGEST
        self.items: list[dict[str, Any]] = [dict(item) for item in ITEMS]
        self.contents = dict(CONTENTS)
        self.names = dict(HOSTS)
        self.url = ""

    def tree(self, **more: Any) -> RenderedTree:
        (self.cluster_dir / "artifacts.lock").write_text(
            "artifacts:\n- {name: idle, version: '1.0', arch: amd64, path: idle, size: 1, source: directory, "
            f"sha256: {self.locked}}}\n"
        )
        return write_tree(
            self.folder, hosts=self.names, items=self.items, contents=self.contents,
            artifacts=[
                {"name": "idle", "version": "1.0", "arch": "amd64", "url": self.url, "sha256": self.locked, "size": 1},
            ],
            **more,
        )  # fmt: skip

    def fleet(self, options: Options | None = None, **more: Any) -> Fleet:
        async def no_api(_: object) -> Any:
            raise AssertionError("nothing here needs the API")

        given = replace(options or Options(), artifacts=self.folder / "art")
        return Fleet(
            self.tree(**more), self.cluster_dir, given, SilentReporter(), self.hosts.connect, no_api, _no_identity
        )

    def run(self, verb: Callable[[Fleet], Awaitable[Any]], options: Options | None = None, **more: Any) -> Any:
        async def main() -> Any:
            return await verb(self.fleet(options, **more))

        return asyncio.run(main())

    def died(self, verb: Callable[[Fleet], Awaitable[Any]], host: LocalHost, program: str, number: int) -> bool:
        """Run a verb and kill the so manieth call of a program on a host; return whether the run came to that call."""
        with killed_at(host, program, number):
            try:
                self.run(verb)
            except FleetError:
                return True
        return False

    def plan(self, options: Options | None = None, **more: Any) -> list[str]:
        found = self.run(lambda fleet: plan_run(fleet, objects=False), options, **more)
        return [line.text for line in plan_lines(found)]


def _no_identity() -> Any:
    raise AssertionError("nothing here needs an identity")
