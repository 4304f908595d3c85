"""A host without SSH: fleet's scripts run here below a scratch folder, with a systemctl that only remembers."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet.connection import Input, Result
from fleet.tls import ByteReader, ByteWriter
from fleet.tree import Host
from generator.errors import HostError

SYSTEMCTL = r"""#!/bin/sh
# Remembers what systemd would do: a file per unit below $FAKE/units holds active or inactive.
dir=$FAKE/units
mkdir -p "$dir"
verb='' units='' now=''
for word; do
    case $word in
    --now) now=yes ;;
    --*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; fi ;;
    esac
done
case $verb in is-*|show|list-unit-files) ;; *) echo "$verb$units" >>"$FAKE/log" ;; esac
for unit in $units; do
    file=$dir/$unit
    enabled=disabled
    [ ! -e "$dir/enabled.$unit" ] || enabled=enabled
    state=inactive
    [ ! -e "$file" ] || read -r state <"$file"
    case $verb in
    is-active) echo "$state"; [ "$state" = active ]; exit ;;
    is-enabled) [ -e "$FAKE_ROOT/etc/systemd/system/$unit" ] || { echo not-found; exit 1; }; echo $enabled; exit ;;
    enable) : >"$dir/enabled.$unit" ;;
    disable) rm -f "$dir/enabled.$unit"; [ -z "$now" ] || echo inactive >"$file" ;;
    stop) echo inactive >"$file" ;;
    start | restart | reload-or-restart)
        if [ -e "$FAKE/broken.$unit" ]; then echo failed >"$file"; echo "Job for $unit failed." >&2; exit 1; fi
        [ ! -e "$FAKE/data" ] || mkdir -p "$FAKE_ROOT$(cat "$FAKE/data")/member"
        echo active >"$file" ;;
    show)
        load=not-found sub=dead
        if [ -e "$FAKE_ROOT/etc/systemd/system/$unit" ]; then load=loaded; else enabled=''; fi
        [ "$state" != active ] || sub=running
        [ ! -e "$FAKE/sick.$unit" ] || { state=activating; sub=auto-restart; }
        printf 'Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\n' \
            "$unit" $load $state $sub "$enabled"
        printf 'NRestarts=0\nType=simple\nNeedDaemonReload=no\n\n'
        ;;
    esac
done
exit 0
"""
ETCDCTL = r"""#!/bin/sh
# Healthy where the unit runs, unless the host has the file `unhealthy`; members come from the file `members`.
case "$*" in
*"member list"*) cat "$FAKE/members" 2>/dev/null; exit ;;
esac
for word; do case $word in --endpoints=*) endpoints=${word#--endpoints=} ;; esac; done
state=inactive
[ ! -e "$FAKE/units/idle.service" ] || read -r state <"$FAKE/units/idle.service"
healthy=false
[ "$state" != active ] || [ -e "$FAKE/unhealthy" ] || healthy=true
IFS=,
comma=''
printf '['
for endpoint in $endpoints; do
    printf '%s{"endpoint": "%s", "health": %s}' "$comma" "$endpoint" $healthy
    comma=', '
done
printf ']'
"""
KILLER = """#!/bin/sh
# The {number}th call kills the script that makes it (and its whole session), as a power cut would.
echo x >>"$FAKE/calls"
if [ "$(wc -l <"$FAKE/calls")" -eq {number} ]; then kill -9 0; fi
exec {real} "$@"
"""
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the host scripts give files to their owners, which needs root")


class LocalHost:
    """Fills the protocol `Connection`; `root` is the host's file system, `fake` what its systemctl remembers."""

    def __init__(self, name: str, folder: Path) -> None:
        self.host = name
        self.where = f"demo/{name}"
        self.root = folder / name / "root"
        self.fake = folder / name / "fake"
        self.reachable = True
        (self.root / "etc").mkdir(parents=True, exist_ok=True)
        (self.root / "etc" / "os-release").write_text(OS_RELEASE)
        (self.root / "etc" / "passwd").touch()
        bin_ = self.fake / "bin"
        bin_.mkdir(parents=True, exist_ok=True)
        words = "#!/bin/sh\necho the last words of the unit\n"
        for program, text in (("systemctl", SYSTEMCTL), ("etcdctl", ETCDCTL), ("journalctl", words)):
            (bin_ / program).write_text(text)
            (bin_ / program).chmod(0o755)

    @property
    def log(self) -> list[str]:
        """What was asked of systemctl and changes something, in order."""
        path = self.fake / "log"
        return path.read_text().splitlines() if path.exists() else []

    def forget_log(self) -> None:
        (self.fake / "log").unlink(missing_ok=True)

    def state(self, path: str) -> Path:
        return self.root / "var/lib/slipway" / path

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        if not self.reachable:
            raise HostError(f"demo/{self.host}: ssh: it cannot be reached; check it", self.host)
        words = list(argv)
        if words[:2] == ["sh", "-c"] and words[3] == "slipway":
            words[0] = "dash"
            words[5] = str(self.root)
        data = stdin if isinstance(stdin, bytes) else await _joined(stdin)
        environment = {
            **os.environ,
            "PATH": f"{self.fake / 'bin'}:{os.environ['PATH']}",
            "FAKE": str(self.fake),
            "FAKE_ROOT": str(self.root),
        }
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )
        out, err = await process.communicate(data)
        assert process.returncode is not None
        return Result(process.returncode, out, err)

    async def open_tcp(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        return await asyncio.open_connection(address, port)

    async def close(self) -> None:
        return


@contextmanager
def killed_at(host: LocalHost, program: str, number: int) -> Iterator[None]:
    """Let the so manieth call of a program kill the script that makes it; the calls before are the program's own."""
    path, kept = host.fake / "bin" / program, host.fake / f"{program}.real"
    if path.exists():
        shutil.move(path, kept)
    path.write_text(KILLER.format(number=number, real=kept if kept.exists() else shutil.which(program)))
    path.chmod(0o755)
    try:
        yield
    finally:
        path.unlink()
        if kept.exists():
            shutil.move(kept, path)


class LocalHosts:
    """Several such hosts, made when they are first connected to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, LocalHost] = {}

    def __getitem__(self, name: str) -> LocalHost:
        if name not in self.hosts:
            self.hosts[name] = LocalHost(name, self.folder)
        return self.hosts[name]

    async def connect(self, host: Host) -> LocalHost:
        found = self[host.name]
        if not found.reachable:
            raise HostError(f"demo/{host.name}: ssh: it cannot be reached; check it", host.name)
        return found


async def _joined(stream: AsyncIterable[bytes]) -> bytes:
    return b"".join([chunk async for chunk in stream])
