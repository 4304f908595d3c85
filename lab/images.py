"""Container images made on this machine, as archives that `ctr images import` takes.

A lab has no registry to pull from. `pause` holds a sandbox's namespaces open; `busybox` gives
tests a shell, an HTTP server and clients. Archives are in the docker-archive format: one
layer.tar per image, its configuration and a manifest.json.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.cache import entry_path, lab_root, made_whole
from lab.command import run
from lab.debian import BUILD_PACKAGES, fetch_binary_packages, install
from lab.progress import stage

PAUSE = "slipway.lab/pause:1"
BUSYBOX = "slipway.lab/busybox:1"

_PAUSE_SOURCE = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
    signal(SIGINT, leave);
    signal(SIGTERM, leave);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
"""
_APPLETS = (
    "[",
    "awk",
    "base64",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dmesg",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "httpd",
    "id",
    "ifconfig",
    "ip",
    "kill",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mount",
    "mv",
    "nc",
    "netstat",
    "nproc",
    "nslookup",
    "ping",
    "printf",
    "ps",
    "pwd",
    "rm",
    "route",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "traceroute",
    "true",
    "umount",
    "uname",
    "uniq",
    "uptime",
    "vi",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
)
"""The names under which the busybox image has its one program."""

_LAYOUT = 3


def build() -> dict[str, Path]:
    """Return image names with their archives, made unless the cache has them."""
    ready = entry_path("images", (_LAYOUT, _PAUSE_SOURCE, _APPLETS, PAUSE, BUSYBOX))
    archives = {PAUSE: ready / "pause.tar", BUSYBOX: ready / "busybox.tar"}
    if ready.exists():
        return archives
    install(BUILD_PACKAGES)
    with (
        stage("making images"),
        made_whole(ready) as output,
        TemporaryDirectory(prefix=".images.", dir=lab_root()) as work,
    ):
        pause = _archive(PAUSE, _layer([_file("pause", _pause_program(Path(work)))]), {"Entrypoint": ["/pause"]})
        busybox = _archive(BUSYBOX, _layer(_busybox_members(Path(work))), {"Cmd": ["sh"]})
        (output / archives[PAUSE].name).write_bytes(pause)
        (output / archives[BUSYBOX].name).write_bytes(busybox)
    return archives


Member = tuple[tarfile.TarInfo, bytes]


def _pause_program(work: Path) -> bytes:
    """Compile pause, statically linked."""
    source = work / "pause.c"
    source.write_text(_PAUSE_SOURCE)
    run(["gcc", "-Os", "-static", "-s", "-o", work / "pause", source])
    return (work / "pause").read_bytes()


def _busybox_members(work: Path) -> list[Member]:
    """Return the files of the busybox image: the static program, its names, users and /tmp."""
    package = fetch_binary_packages(["busybox-static"], work / "debs")[0]
    run(["dpkg-deb", "-x", package, work / "tree"])
    folders = [_folder(name) for name in ("bin", "etc", "root", "var", "www")]
    names = [_link(f"bin/{name}", "busybox") for name in _APPLETS]
    return [
        *folders,
        _folder("tmp", 0o1777),
        _file("bin/busybox", (work / "tree/bin/busybox").read_bytes()),
        *names,
        _file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
        _file("etc/group", b"root:x:0:\n", 0o644),
    ]


def _file(name: str, content: bytes, mode: int = 0o755) -> Member:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    return member, content


def _folder(name: str, mode: int = 0o755) -> Member:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, mode
    return member, b""


def _link(name: str, target: str) -> Member:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
    return member, b""


def _layer(members: Sequence[Member]) -> bytes:
    """Return a plain tar of the members in their order, owned by root, without times."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _archive(name: str, layer: bytes, starts: dict[str, list[str]]) -> bytes:
    """Return the docker-archive of an image with one layer."""
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {**starts, "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created_by": "slipway lab"}],
        },
        sort_keys=True,
    ).encode()
    configuration_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": configuration_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    return _layer(
        [
            _file(configuration_name, configuration, 0o644),
            _file("layer.tar", layer, 0o644),
            _file("manifest.json", json.dumps(manifest).encode(), 0o644),
        ]
    )
