"""Root by sudo: without a password, with one that is asked for once, and with none that can be had."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from fleet.connection import Result
from fleet.ssh import SshConnection
from fleet.sudo import SudoPassword
from generator.errors import HostError

SUDO = """#!/bin/sh
# sudo as fleet meets it: -n needs `free`, -S reads one line and leaves the rest of the stream to the program.
echo "$*" >>"$(dirname "$0")/sudo.log"
if [ "$1" = -n ]; then
    [ -e "$(dirname "$0")/sudo.free" ] || { echo "sudo: a password is required" >&2; exit 1; }
    shift
    [ "$1" != -- ] || shift
    exec "$@"
fi
[ "$1 $2 $3" = "-k -S -p" ] || exit 9
shift 5
IFS= read -r given
[ "$given" = sesame ] || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
exec "$@"
"""


async def answered(connection: SshConnection, words: list[str], stdin: bytes | AsyncIterator[bytes]) -> str:
    return (await connection.run(words, stdin)).text


@pytest.fixture
def sudo(tmp_path: Path) -> Path:
    path = tmp_path / "sudo"
    path.write_text(SUDO)
    path.chmod(0o755)
    return path


class LocalSudo(SshConnection):
    """The same decisions about sudo; only the last step, running a command line, happens on this machine."""

    def __init__(self, sudo: Path, password: SudoPassword) -> None:
        super().__init__("demo/n1", "n1", asyncssh.SSHClientConnection.__new__(asyncssh.SSHClientConnection), password)
        self.environment = {**os.environ, "PATH": f"{sudo.parent}:{os.environ['PATH']}"}

    async def _command(self, command: str, stdin: object, timeout: float) -> object:  # type: ignore[override]
        data = stdin if isinstance(stdin, bytes) else b"".join([chunk async for chunk in stdin])  # type: ignore[attr-defined]
        process = await asyncio.create_subprocess_shell(command, stdin=-1, stdout=-1, stderr=-1, env=self.environment)
        out, err = await process.communicate(data)
        return Result(process.returncode or 0, out, err)


def test_nothing_is_asked_where_sudo_is_free(sudo: Path) -> None:
    sudo.with_suffix(".free").touch()
    assert asyncio.run(answered(LocalSudo(sudo, SudoPassword(None)), ["cat"], b"stream")) == "stream"


def test_a_password_is_asked_for_once_and_never_in_an_argument(sudo: Path) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "sesame"

    async def stream() -> AsyncIterator[bytes]:
        yield b"stre"
        yield b"am"

    async def main() -> None:
        password = SudoPassword(ask)
        first, second = LocalSudo(sudo, password), LocalSudo(sudo, password)
        assert await asyncio.gather(answered(first, ["cat"], b"one"), answered(second, ["cat"], b"two")) == [
            "one",
            "two",
        ]
        assert await answered(first, ["cat"], stream()) == "stream"

    asyncio.run(main())
    assert asked == ["sudo password on the hosts (first asked by demo/n1): "]
    assert "sesame" not in sudo.with_suffix(".log").read_text()


def test_a_wrong_password_and_no_terminal_say_so(sudo: Path) -> None:
    with pytest.raises(
        HostError, match=r"demo/n1: sudo: the password is refused \(sudo: 1 incorrect password attempt\)"
    ):
        asyncio.run(answered(LocalSudo(sudo, SudoPassword(lambda _: "wrong")), ["cat"], b""))
    with pytest.raises(HostError, match="there is no terminal to ask"):
        asyncio.run(answered(LocalSudo(sudo, SudoPassword(None)), ["cat"], b""))
