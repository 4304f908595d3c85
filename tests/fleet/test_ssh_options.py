"""known_hosts: read once however many hosts are entered, and a line that is none has a plain message."""

from __future__ import annotations

import asyncssh
import pytest

from fleet.ssh_options import connection_options
from generator.errors import WorkspaceError


def test_known_hosts_is_read_once_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = asyncssh.import_known_hosts

    def counted(text: str) -> asyncssh.SSHKnownHosts:
        read.append(text)
        return original(text)

    monkeypatch.setattr(asyncssh, "import_known_hosts", counted)
    text = "# a file of this test\n"
    for _ in range(3):
        connection_options(text)
    assert read == [text]


def test_without_known_hosts_no_key_is_known() -> None:
    known = connection_options("")["known_hosts"]
    assert not any(known.match("10.0.0.1", "", 22))


def test_a_line_that_names_no_key_is_said_so() -> None:
    with pytest.raises(WorkspaceError, match=r"^known_hosts: .*half-a-line; correct the line"):
        connection_options("half-a-line\n")
