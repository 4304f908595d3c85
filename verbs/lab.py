"""Verbs of the lab: real systemd hosts on this machine."""

from __future__ import annotations

import os

from invoke.collection import Collection
from invoke.context import Context

from lab import hosts as lab_hosts
from verbs.console import say, table
from verbs.verb import verb


@verb(help={"hosts": "how many hosts, 1 to 9"})
def up(context: Context, hosts: int = 3) -> None:
    """Boot lab hosts on this machine (Linux, root); builds what is missing first.

    Example: invoke lab.up --hosts 5
    """
    lab_hosts.up(hosts)


@verb()
def status(context: Context) -> None:
    """Show the lab's hosts, their addresses and whether they answer.

    Example: invoke lab.status
    """
    rows = lab_hosts.status()
    if not rows:
        say("no lab is up; `invoke lab.up` boots one")
        return
    table(("host", "address", "state"), rows)


@verb(help={"host": "name of a lab host"})
def ssh(context: Context, host: str) -> None:
    """Open a shell on a lab host.

    Example: invoke lab.ssh --host lab1
    """
    words = lab_hosts.ssh_command(host)
    os.execvp(words[0], words)


@verb()
def down(context: Context) -> None:
    """Stop the lab and take away every host, network namespace and mount of it.

    Example: invoke lab.down
    """
    lab_hosts.down()


namespace = Collection("lab", up, status, ssh, down)
