"""Binaries laid out like the official downloads, so that Slipway takes them as from a mirror.

Kubernetes is built from Debian's source (see lab.kubernetes); etcd, containerd, runc and the CNI
plugins are repacked from Debian's binary packages. The file names carry the upstream versions of
what the packages really hold. Archives are reproducible: sorted members, no times, no owners.

crictl is left out: neither Debian 12 nor PyPI has it. `ctr` stands in where a person needs one.
"""

import gzip
import io
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lab import kubernetes
from lab.cache import entry_path, lab_root, made_whole
from lab.command import run
from lab.debian import fetch_binary_packages, install
from lab.errors import LabError
from lab.progress import stage

ARCH = "amd64"

_DPKG = {"dpkg-dev": "dpkg-deb"}
_LAYOUT = 2
"""Raise it when the layout below changes, so that cached trees of the old layout are not used."""


@dataclass(frozen=True)
class Repacked:
    """One official download made from the files of Debian packages.

    ``path`` and ``folder`` may hold ``{version}``; ``members`` maps a name in the archive to a
    path in the packages, where a name ending in ``/`` takes every file of that directory. A
    download without members is the one file ``single``.
    """

    packages: tuple[str, ...]
    path: str
    folder: str = ""
    members: tuple[tuple[str, str], ...] = ()
    single: str = ""


DOWNLOADS = (
    Repacked(
        packages=("etcd-server", "etcd-client"),
        path="etcd/v{version}/etcd-v{version}-linux-amd64.tar.gz",
        folder="etcd-v{version}-linux-amd64/",
        members=(("etcd", "usr/bin/etcd"), ("etcdctl", "usr/bin/etcdctl")),
    ),
    Repacked(
        packages=("containerd",),
        path="containerd/v{version}/containerd-{version}-linux-amd64.tar.gz",
        folder="bin/",
        members=(
            ("containerd", "usr/bin/containerd"),
            ("containerd-shim-runc-v2", "usr/bin/containerd-shim-runc-v2"),
            ("ctr", "usr/bin/ctr"),
        ),
    ),
    Repacked(
        packages=("age",),
        path="age/v{version}/age-v{version}-linux-amd64.tar.gz",
        folder="age/",
        members=(("age", "usr/bin/age"),),
    ),
    Repacked(packages=("runc",), path="runc/v{version}/runc.amd64", single="usr/sbin/runc"),
    Repacked(
        packages=("containernetworking-plugins",),
        path="cni-plugins/v{version}/cni-plugins-linux-amd64-v{version}.tgz",
        folder="./",
        members=(("/", "usr/lib/cni"),),
    ),
)


def build() -> Path:
    """Return the directory with all artifacts, made unless the cache has it."""
    binaries = kubernetes.build()
    ready = entry_path("artifacts", (_LAYOUT, binaries.name, [repr(one) for one in DOWNLOADS]))
    if ready.exists():
        return ready
    install(_DPKG)
    with stage("packing artifacts"), made_whole(ready) as output:
        _lay_out_kubernetes(binaries, output)
        for download in DOWNLOADS:
            with TemporaryDirectory(prefix=".packages.", dir=lab_root()) as work:
                _repack(download, Path(work), output)
    return ready


def _lay_out_kubernetes(binaries: Path, output: Path) -> None:
    """Link the built binaries, or copy them, at the path that the official server uses."""
    folder = output / "kubernetes" / kubernetes.VERSION / "bin" / "linux" / ARCH
    folder.mkdir(parents=True)
    for name in kubernetes.BINARIES:
        try:
            (folder / name).hardlink_to(binaries / name)
        except OSError:
            shutil.copy2(binaries / name, folder / name)


def _repack(download: Repacked, work: Path, output: Path) -> None:
    """Write one download from the packages that hold its files."""
    packages = fetch_binary_packages(download.packages, work / "debs")
    tree = work / "tree"
    for package in packages:
        run(["dpkg-deb", "-x", package, tree])
    version = _upstream_version(packages[0])
    path = output / download.path.format(version=version)
    path.parent.mkdir(parents=True)
    if download.single:
        shutil.copyfile(tree / download.single, path)
        path.chmod(0o755)
        return
    folder = download.folder.format(version=version)
    path.write_bytes(gzipped_tar(_members(download, tree, folder)))


def _members(download: Repacked, tree: Path, folder: str) -> Iterable[tuple[str, bytes]]:
    """Yield the archive's members as name and content."""
    for name, source in download.members:
        if name.endswith("/"):
            for path in sorted((tree / source).iterdir()):
                yield folder + path.name, path.read_bytes()
        else:
            yield folder + name, (tree / source).read_bytes()


def _upstream_version(package: Path) -> str:
    """Return the upstream version of a .deb file, ``1.6.20`` for ``1.6.20~ds1-1+deb12u3``."""
    full = run(["dpkg-deb", "-f", package, "Version"]).strip()
    found = re.match(r"(?:\d+:)?(\d+\.\d+\.\d+)", full)
    if found is None:
        raise LabError(f"{package.name} has no version of three numbers", "teach the lab its form")
    return found[1]


def gzipped_tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a reproducible tar.gz of executables: sorted, owned by root, without times."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in sorted(members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), compresslevel=1, mtime=0)
