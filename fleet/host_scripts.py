"""The POSIX sh scripts of fleet/scripts, run on a host, and the lines that they answer with.

The command line is short and the same for every script: a shell that reads the script itself from standard input, then
leaves the rest of the stream to it. So nothing depends on the login shell's quoting, and no data is in an argument
list.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import cache
from importlib.resources import files

from fleet.connection import CAUSES, Connection, Input, printable
from generator.errors import HostError

# A script that arrives in part, from a connection that is cut, is not begun.
_READ_SCRIPT = 's=$(head -c "$1" && echo .) && LC_ALL=C && [ "${#s}" -eq "$(($1 + 1))" ] && shift && eval "${s%.}"'
_ORDERS = frozenset({"activate", "bootstrap", "journal", "lock", "record", "remove"})
"""Scripts that carry out an order from standard input: its last line is "end", and without that nothing is begun."""
WAITING_SECONDS = 900
"""How long a script may take that lets another one end first: after ten minutes it says itself for whom it waits."""
_LIBRARIES = {
    "activate": ("packages",),
    "preflight": ("listeners",),
    "question": ("kernel",),
    "reboot": ("kernel",),
    "status": ("listeners",),
}
"""Parts that a script has besides the prelude that all share."""
Lines = tuple[tuple[str, ...], ...]


@cache
def script_text(name: str) -> str:
    """Return a script with the prelude that all of them share, and the parts that it has besides."""
    folder = files("fleet") / "scripts"
    return "".join((folder / f"{part}.sh").read_text("utf-8") for part in ("prelude", *_LIBRARIES.get(name, ()), name))


def script_argv(name: str, arguments: Sequence[str] = (), root: str = "") -> list[str]:
    """Return the command that runs a script arriving on standard input; `root` goes before every path on the host."""
    return ["sh", "-c", _READ_SCRIPT, "slipway", str(len(script_text(name).encode())), root, *arguments]


async def run_script(
    connection: Connection,
    name: str,
    arguments: Sequence[str] = (),
    stdin: Input = b"",
    *,
    timeout: float = 120,
    accept: Sequence[int] = (0,),
) -> Lines:
    """Run a script as root and return its answer, a tuple of words for each line, without the closing "end".

    An order gets its own closing "end" here: the host can tell one that arrived whole from one that was cut off.
    Raises HostError where the script says what failed, ends with a status not in `accept`, or its answer is cut off.
    """
    script = script_text(name).encode()
    if name in _ORDERS and isinstance(stdin, bytes):
        stdin += b"end\n"
    whole: Input = script + stdin if isinstance(stdin, bytes) else _chained(script, stdin)
    result = await connection.run(script_argv(name, arguments), whole, timeout=timeout)
    lines = tuple(tuple(line.split("\t")) for line in printable(result.text).split("\n") if line)
    for words in lines:
        if words[0] == "fail":
            because = f" ({result.cause}); {CAUSES[result.cause]}" if result.cause else ""
            raise HostError(f"{connection.where}: {name}: {' '.join(words[1:])}{because}", connection.host)
    if result.exit not in accept:
        todo = CAUSES.get(result.cause, "look at the host")
        raise HostError(f"{connection.where}: {name}: {result.complaint}; {todo}", connection.host)
    if not lines or lines[-1] != ("end",):
        raise HostError(
            f"{connection.where}: {name}: the answer is cut off ({result.complaint}); try again", connection.host
        )
    return lines[:-1]


async def _chained(first: bytes, rest: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
