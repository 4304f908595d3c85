"""Debian packages: what the lab itself needs, and packages and sources fetched without installing.

Mirrors come from the machine's own apt configuration, never from here.
"""

import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.command import run
from lab.errors import LabError
from lab.progress import say, stage

LAB_PACKAGES = {
    "debootstrap": "debootstrap",
    "systemd-container": "systemd-nspawn",
    "iproute2": "ip",
    "util-linux": "unshare",
    "openssh-client": "ssh",
    "procps": "sysctl",
}
"""Packages that a lab of hosts needs on this machine, each with a program that proves it there."""

BUILD_PACKAGES = {
    "build-essential": "make",
    "dpkg-dev": "dpkg-source",
    "golang-1.19-go": "/usr/lib/go-1.19/bin/go",
    "golang-github-modern-go-reflect2-dev": "/usr/share/gocode/src/github.com/modern-go/reflect2/reflect2.go",
    "libc6-dev": "gcc",
    "rsync": "rsync",
}
"""Packages that building Kubernetes and the pause image needs, each with a program or file as above."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""The public keys that sign Debian's releases, from the package debian-archive-keyring."""


@dataclass(frozen=True)
class Repository:
    """One `deb` entry of the machine's apt configuration."""

    uri: str
    suite: str
    component: str
    origin: str
    label: str


def require_root_on_debian() -> None:
    """Raise LabError unless this is Linux with apt-get, run as root."""
    if platform.system() != "Linux" or shutil.which("apt-get") is None:
        raise LabError("the lab runs on Debian Linux only", "use a Debian machine or virtual machine")
    if os.geteuid() != 0:
        raise LabError("the lab needs root for namespaces and mounts", "run it with sudo")


def install(packages: dict[str, str]) -> None:
    """Install those packages of which the proving program, or file by its full path, is not to be found."""
    require_root_on_debian()
    missing = sorted(name for name, program in packages.items() if not _is_there(program))
    if not missing:
        return
    with stage(f"installing {', '.join(missing)}"):
        refresh_lists()
        run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )


def _is_there(proof: str) -> bool:
    return shutil.which(proof) is not None or (proof.startswith("/") and Path(proof).exists())


def refresh_lists() -> None:
    """Bring apt's package lists up to date; an outage is passed over when lists are there."""
    try:
        run(["apt-get", "update", "-q"], timeout=600)
    except LabError:
        if not repositories():
            raise
        say("apt-get update failed; going on with the package lists that are there")


def repositories() -> list[Repository]:
    """Return the machine's own binary package repositories in the order of its configuration."""
    fields = ("REPO_URI", "RELEASE", "COMPONENT", "ORIGIN", "LABEL")
    layout = "\t".join(f"$({field})" for field in fields)
    lines = run(["apt-get", "indextargets", "--format", layout, "Created-By: Packages"])
    found = dict.fromkeys(Repository(*line.split("\t")) for line in lines.splitlines())
    return [repository for repository in found if repository.origin == "Debian"]


def base_repository() -> Repository:
    """Return the repository that holds the Debian release itself, for debootstrap."""
    for repository in repositories():
        if repository.label == "Debian" and "-" not in repository.suite:
            return repository
    raise LabError("apt's configuration names no Debian release", "run `apt-get update` and check apt's sources")


def fetch_binary_packages(packages: Iterable[str], into: Path) -> list[Path]:
    """Download .deb files of this machine's architecture and release into a directory."""
    into.mkdir(parents=True, exist_ok=True)
    run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages], cwd=into)
    return sorted(into.glob("*.deb"))


def fetch_source_package(name: str, into: Path) -> Path:
    """Download the newest source package of this release and return the path of its .dsc file.

    apt checks the files against the signed release. The lists of sources are kept in ``into``, so
    the machine's own apt configuration stays as it is.
    """
    parts = into / "apt" / "sources.d"
    lists = into / "apt" / "lists"
    parts.mkdir(parents=True, exist_ok=True)
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    entries = "".join(
        f"deb-src [signed-by={KEYRING}] {source.uri} {source.suite} {source.component}\n" for source in repositories()
    )
    (parts / "debian.list").write_text(entries)
    apt = [
        "apt-get",
        "-q",
        *("-o", "Dir::Etc::SourceList=/dev/null"),
        *("-o", f"Dir::Etc::SourceParts={parts}"),
        *("-o", f"Dir::State::Lists={lists}"),
        *("-o", f"Dir::Cache={into / 'apt'}"),
        *("-o", "APT::Sandbox::User=root"),
    ]
    run([*apt, "update"])
    run([*apt, "source", "--download-only", name], cwd=into)
    found = sorted(into.glob(f"{name}_*.dsc"))
    if not found:
        raise LabError(f"apt brought no source of {name}", "check that the mirror carries sources")
    return found[0]
