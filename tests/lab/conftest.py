"""One session for all lab tests: clusters `lab` (three and two hosts, a sixth waits to join), `pair` and `cloud`.

Hosts are made only for clusters that some collected test wants, those of `cloud` when the tests of `lab` are over.
Variables for those who work on it: SLIPWAY_LAB_KEEP=1 leaves hosts and workspaces as they are and says where;
SLIPWAY_LAB_REUSE=<that folder> attaches to them, makes nothing and takes nothing down. docs/lab.md tells how the parts
fit together.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import artifacts
from lab.lab import Lab
from tests.lab import load, made_hosts, pair_install, quiet
from tests.lab.cluster_under_test import LabCluster
from tests.lab.session import CLOUD, LAB, PAIR, Layout, applied, attached, created

ORDER = (
    # The pair is installed under watch, killed again and again, and then left quiet …
    "test_secret_search",
    "test_kills",
    "test_quiet_rotation::test_the_quiet_begins",
    # … while the rest runs on the cluster `lab`; later modules change what earlier ones saw.
    "test_cluster",
    "test_status",
    "test_preflight",
    "test_verify",
    "test_drift",
    "test_rolling",
    "test_survival",
    "test_certs_renew",
    "test_rotation_keys",
    "test_rollback",
    "test_faults",
    "test_access",
    "test_api",
    "test_balancing",
    "test_host_settings",
    "test_firewall",
    "test_disks",
    "test_reboot",
    "*",
    "test_cluster::test_a_sixth_host_joins_by_one_line",
    # Its hosts take the place of those of `lab`.
    "test_cloud_init",
    "test_quiet_rotation",
)
"""Modules, or single tests, in the order in which they run; "*" stands for those that are not named."""

_SECONDS: defaultdict[str, float] = defaultdict(float)


def place_of(item: pytest.Item) -> int:
    """Where a test stands in ORDER."""
    module = item.path.stem
    for name in (f"{module}::{item.name}", module):
        if name in ORDER:
            return ORDER.index(name)
    return ORDER.index("*")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    places = [index for index, item in enumerate(items) if item.path.is_relative_to(here)]
    ordered = sorted((items[index] for index in places), key=place_of)
    for index, item in zip(places, ordered, strict=True):
        items[index] = item


@contextmanager
def part(title: str) -> Iterator[None]:
    """Count the time of a part of the session that is no test."""
    began = time.monotonic()
    try:
        yield
    finally:
        _SECONDS[title] += time.monotonic() - began


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    # What a test waits for that a part of its own stands for (a bring-up) is not counted twice.
    parts = {title: seconds for title, seconds in _SECONDS.items() if not title.startswith("test_")}
    began = time.monotonic()
    done = yield
    inside = sum(
        seconds - parts.get(title, 0.0) for title, seconds in _SECONDS.items() if not title.startswith("test_")
    )
    _SECONDS[item.path.stem] += time.monotonic() - began - inside
    return done


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _SECONDS and max(_SECONDS.values()) > 60:
        terminalreporter.section("minutes of the lab session")
        for title, seconds in _SECONDS.items():
            terminalreporter.write_line(f"{seconds / 60:6.1f}  {title}")
        terminalreporter.write_line(f"{sum(_SECONDS.values()) / 60:6.1f}  in all")
    if load.REPORTS:
        terminalreporter.section("what clients saw that wrote all the time")
        for test, seen in load.REPORTS:
            terminalreporter.write_line(f"{test}: {seen.words}")


@dataclass(frozen=True)
class Session:
    """The lab's hosts, and the folder below which each cluster has its own."""

    hosts: Lab
    base: Path
    artifacts: Path
    kernel_settings: str
    reused: bool

    def cluster(self, layout: Layout) -> LabCluster | None:
        """The cluster as an earlier session left it, None for one that is new in this session."""
        folder = self.base / layout.name
        if not self.reused:
            return None
        assert folder.is_dir(), f"SLIPWAY_LAB_REUSE: {folder} is not there; keep a session with SLIPWAY_LAB_KEEP=1"
        return attached(self.hosts, folder, self.artifacts, self.kernel_settings)


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    reuse = os.environ.get("SLIPWAY_LAB_REUSE")
    built = artifacts.build()
    before = LabCluster.kernel_settings()
    hosts = Lab()
    if reuse:
        yield Session(hosts, Path(reuse), built, before, reused=True)
        return
    wanted = {fixture for item in request.session.items for fixture in getattr(item, "fixturenames", ())}
    names = [host for layout in (LAB, PAIR) if layout.name in wanted for host in layout.hosts]
    with part("hosts"):
        hosts.destroy(*(host.name for host in hosts.hosts))
        if names:
            hosts.up(len(names), names)
    base = Path(tempfile.mkdtemp(prefix="slipway-lab-"))
    yield Session(hosts, base, built, before, reused=False)
    if os.environ.get("SLIPWAY_LAB_KEEP"):
        print(f"\nthe lab is kept; SLIPWAY_LAB_REUSE={base} attaches to it, `invoke lab.down` takes it away")
        return
    with part("taking down"):
        hosts.down()
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def lab(session: Session) -> LabCluster:
    """The cluster of five hosts after its first apply; `first_apply` is what that said."""
    kept = session.cluster(LAB)
    if kept is not None:
        return kept
    with part("bring-up of lab"):
        cluster = created(session.hosts, session.base, LAB, session.artifacts, session.kernel_settings)
        applied(session.hosts, cluster)
    return cluster


@pytest.fixture(scope="session")
def pair(session: Session) -> LabCluster:
    """The small cluster: its workspace is rendered, and nothing says that it is installed."""
    return session.cluster(PAIR) or created(
        session.hosts, session.base, PAIR, session.artifacts, session.kernel_settings, pair_install.spec_of_pair
    )


@pytest.fixture(scope="session")
def cloud(session: Session) -> Iterator[made_hosts.MadeHosts]:
    """A cluster of one control-plane host after its apply; its two workers are bare, and a mirror is there for them."""
    with made_hosts.mirror(session.artifacts) as url:
        kept = session.cluster(CLOUD)
        if kept is not None:
            yield made_hosts.MadeHosts(session.hosts, kept)
            return
        with part("bring-up of cloud"):
            if not os.environ.get("SLIPWAY_LAB_KEEP"):
                # All hosts share the kernel's inotify instances, which are not enough for three clusters.
                session.hosts.destroy(*(host.name for host in session.hosts.hosts if host.name in LAB.hosts))
            session.hosts.up(len(CLOUD.hosts), CLOUD.hosts)
            change = made_hosts.spec_with(url)
            cluster = created(session.hosts, session.base, CLOUD, session.artifacts, session.kernel_settings, change)
            made_hosts.bring_up(session.hosts, cluster)
        yield made_hosts.MadeHosts(session.hosts, cluster)


@pytest.fixture(scope="session")
def watched_install(session: Session, pair: LabCluster) -> Iterator[pair_install.WatchedInstall]:
    """The first apply of the pair, from bare hosts, with a watcher that looks for secrets while it runs."""
    with part("bring-up of pair"):
        found = pair_install.install_watched(session.hosts, pair)
    yield found
    found.forget()


@pytest.fixture(scope="session")
def quiet_pair(session: Session, pair: LabCluster) -> Iterator[quiet.QuietWatch]:
    """The pair as rendered, left alone and watched from this moment to the end of the session."""
    pair_install.bring_up(session.hosts, pair)
    watch = quiet.begin(pair)
    yield watch
    watch.end()
