"""Verbs of the lab: real systemd hosts on this machine."""

from __future__ import annotations

import os

from invoke.collection import Collection
from invoke.context import Context

from lab import lab as lab_room
from verbs.console import say, table
from verbs.verb import verb


@verb(help={"hosts": "how many hosts, 1 to 9"})
def up(context: Context, hosts: int = 3) -> None:
    """Boot lab hosts on this machine (Linux, root); builds what is missing first.

    Example: invoke lab.up --hosts 5
    """
    lab_room.up(hosts)


@verb()
def status(context: Context) -> None:
    """Show the lab's hosts, their addresses and whether they answer.

    Example: invoke lab.status
    """
    rows = [(host.name, str(host.address), "on" if on else "off") for host, on in lab_room.status()]
    if not rows:
        say("no lab is up; `invoke lab.up` boots one")
        return
    table(("host", "address", "state"), rows)


@verb(help={"host": "name of a lab host"})
def ssh(context: Context, host: str) -> None:
    """Open a shell on a lab host.

    Example: invoke lab.ssh --host host-1
    """
    words = lab_room.ssh_command(host)
    os.execvp(words[0], words)


@verb()
def down(context: Context) -> None:
    """Stop the lab and take away every host, network namespace and mount of it.

    Example: invoke lab.down
    """
    lab_room.down()


namespace = Collection("lab", up, status, ssh, down)
