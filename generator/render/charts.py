"""The helm charts that a cluster's tree carries, as packages: the same bytes on every machine, in every year.

A package is a tar in a gzip (https://helm.sh/docs/topics/charts/#the-chart-file-structure). It has no times, owners or
modes of the machine, and it is not compressed: what a compressor makes of the same input differs between its releases.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from generator.errors import RenderError
from generator.render.objects import ADDONS
from generator.spec.model import Cluster

CHARTS = ADDONS / "charts"
NAMES = ("app",)
"""The charts, each a folder of that name."""

_SUFFIXES = frozenset({".yaml", ".json", ".tpl", ".txt"})
_HEADER = bytes.fromhex("1f8b08 00 00000000 00 ff")
"""The head of a gzip (RFC 1952) without name and time, of no system."""

_LONGEST_BLOCK = 0xFFFF


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as a package."""

    name: str
    version: str
    package: bytes

    @property
    def path(self) -> str:
        """Where the package lies in a tree."""
        return f"charts/{self.name}-{self.version}.tgz"

    @property
    def sha256(self) -> str:
        """The digest of the package."""
        return hashlib.sha256(self.package).hexdigest()


def uses_charts(cluster: Cluster) -> bool:
    """Return whether anything of a cluster installs releases of our charts: the pipeline of Jenkins does."""
    return cluster.addons.jenkins.enabled


def charts(cluster: Cluster) -> tuple[Chart, ...]:
    """Return the charts that a cluster's tree carries, by name."""
    return tuple(chart(CHARTS / name) for name in NAMES) if uses_charts(cluster) else ()


@cache
def chart(folder: Path) -> Chart:
    """Return a folder's chart; raises RenderError where Chart.yaml says another name than the folder."""
    said = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    if said["name"] != folder.name:
        raise RenderError(f"{folder}: Chart.yaml names the chart {said['name']}; report this as a defect")
    return Chart(said["name"], said["version"], _gzip(_tar(folder)))


def _tar(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in _files(folder):
            member = tarfile.TarInfo(f"{folder.name}/{name}")
            # Mode 0644 and owner 0; time 0 would make tar complain that a file is implausibly old, so one second more.
            member.size, member.mtime = len(content), 1
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a chart in the order of their paths, without what editors leave beside them."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in _SUFFIXES}
    for name, path in sorted(found.items()):
        if not any(part.startswith(".") for part in name.split("/")):
            # As text, so that a checkout with other line ends gives the same.
            yield name, path.read_text(encoding="utf-8").encode()


def _gzip(content: bytes) -> bytes:
    """Return a gzip that holds the content in stored blocks (RFC 1951, 3.2.4)."""
    blocks = [content[start : start + _LONGEST_BLOCK] for start in range(0, len(content), _LONGEST_BLOCK)] or [b""]
    parts = [_HEADER]
    for number, block in enumerate(blocks, 1):
        last = number == len(blocks)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack("<II", zlib.crc32(content), len(content))])
