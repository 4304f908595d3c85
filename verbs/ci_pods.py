"""Verbs for what a release does: read what its pods say, run a program in one of them."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any, TypeVar

from invoke.context import Context

from fleet.channel import Channel
from fleet.connection import Result, printable
from fleet.exec_stream import LONGEST, STDERR, exec_in_pod
from fleet.exec_terminal import exec_at_terminal
from fleet.kube import Api
from fleet.kubeconfig import read_kubeconfig
from fleet.pod_logs import Follower, Line, Wanted, in_order, read_logs
from fleet.release_pods import ReleasePod, narrowed, release_pods, running_container
from generator.ci.project import Project
from generator.ci.stages import namespace_of
from generator.errors import ApiError, RefusedError, WorkspaceError
from verbs import console
from verbs.ci_pipeline import settings_of
from verbs.ci_project import AS_JSON, PROJECT, settled
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import Place

TAIL = 100
_TIME = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
KUBECONFIG = "ask the API with this kubeconfig instead of a certificate signed for the run"
ENV = "which environment"
T = TypeVar("T")
Logs = Mapping[tuple[str, str], Sequence[Line]]


@verb(
    name="logs",
    help={
        "project": PROJECT,
        "env": ENV,
        "follow": "go on with what is said from now on, in new pods too; with --json an object a line",
        "tail": f"so many last lines of each container; {TAIL} by default, with --since all of that time",
        "since": "what was said in the last seconds, minutes, hours or days: 90s, 15m, 2h, 1d",
        "previous": "what containers said before they were started anew",
        "timestamps": "print when a line was said, in UTC",
        "container": "of this container alone",
        "pod": "of this pod alone",
        "kubeconfig": KUBECONFIG,
        "cluster": WHICH,
        "json": AS_JSON,
    },
)
def logs(
    context: Context,
    project: str,
    env: str,
    follow: bool = False,
    tail: int = 0,
    since: str | None = None,
    previous: bool = False,
    timestamps: bool = False,
    container: str | None = None,
    pod: str | None = None,
    kubeconfig: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> None:
    """Print what all pods of a release have said, in the order of time; pods that do not run are named with reason.

    Example: invoke ci.logs --project hello --env dev --follow
    """
    if tail < 0:
        raise RefusedError(f"--tail {tail}: give a number of lines, 1 or more")
    if follow and previous:
        raise RefusedError("--follow and --previous: what was said before does not go on; give one of them")
    seconds = seconds_of(since) if since is not None else None
    wanted = Wanted(tail or (TAIL if since is None else None), seconds, previous)
    found, place, namespace = released(project, env, cluster)
    told = _follow_json if json else partial(_print_line, timestamps)

    async def read(api: Api) -> None:
        if follow:
            await Follower(
                api, namespace, found.name, wanted=wanted, pod=pod, container=container, told=told, noted=console.tell
            ).run()
            return
        pods = narrowed(await release_pods(api, namespace, found.name), container, pod)
        lines, whys = await read_logs(api, namespace, pods, wanted)
        if json:
            head = {"project": found.name, "environment": env, "namespace": namespace, "previous": previous}
            console.raw(dumps({**head, "pods": [_pod_row(each, lines, whys) for each in pods]}, indent=2) + "\n")
            return
        for each in pods:
            if not each.ready:
                console.tell(each.line)
        for each in pods:
            for one in each.containers:
                why = whys.get((each.name, one.name), "")
                # What keeps a container from running was said of its pod.
                if why and (each.ready or why != one.reason):
                    console.tell(f"{each.name}/{one.name}: no log: {why}")
        for line in in_order(lines.values()):
            told(line)

    asyncio.run(on_api(found, place, kubeconfig, read))


def _pod_row(pod: ReleasePod, lines: Logs, whys: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    row = {key: value for key, value in asdict(pod).items() if key != "containers"}
    containers = [
        {
            "name": one.name,
            "state": one.state,
            "restarts": one.restarts,
            "reason": one.reason,
            "noLog": whys.get((pod.name, one.name), ""),
            "lines": [{"time": line.time, "text": line.text} for line in lines.get((pod.name, one.name), ())],
        }
        for one in pod.containers
    ]
    return {**row, "containers": containers}


def seconds_of(time: str) -> int:
    """Return the seconds of a time like 15m; raises RefusedError for what is none."""
    found = _TIME.fullmatch(time)
    if found is None:
        raise RefusedError(f"--since {time!r}: write a number and s, m, h or d, like 15m")
    return int(found[1]) * _SECONDS[found[2]]


def _print_line(timestamps: bool, line: Line) -> None:
    when = f"{line.time} " if timestamps and line.time else ""
    console.raw(f"{when}{line.pod}/{line.container}: {printable(line.text)}\n")
    sys.stdout.flush()


def _follow_json(line: Line) -> None:
    console.raw(dumps(asdict(line)) + "\n")
    sys.stdout.flush()


@verb(
    name="shell",
    help={
        "project": PROJECT,
        "env": ENV,
        "container": "in this container; else the first of the pod",
        "pod": "in this pod; else one that is ready",
        "kubeconfig": KUBECONFIG,
        "cluster": WHICH,
        "json": "one JSON document with output and exit status of one program; docs/json.md has its keys",
    },
)
def shell(
    context: Context,
    project: str,
    env: str,
    container: str | None = None,
    pod: str | None = None,
    kubeconfig: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> int:
    """Run a program in a running container of a release, /bin/sh unless said after --; its exit status is ours.

    Example: invoke ci.shell --project hello --env dev -- /bin/ls -l /tmp
    """
    found, place, namespace = released(project, env, cluster)
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not json
    argv = words_after(context, sys.argv)
    if not argv and not terminal:
        raise RefusedError("there is no terminal for a shell; give a program and its words after --")
    argv = argv or ["/bin/sh"]

    async def run(api: Api) -> int:
        pods = await release_pods(api, namespace, found.name)
        where, within = running_container(pods, container, pod)
        console.tell(f"{where}/{within}: {shlex.join(argv)}")
        try:
            if terminal:
                return await exec_at_terminal(
                    api.channel, namespace, where, argv, container=within,
                    stdin=sys.stdin.fileno(), stdout=sys.stdout.fileno(),
                )  # fmt: skip
            result = await exec_in_pod(
                api.channel, namespace, where, argv, container=within, seconds=None, output=None if json else _show
            )
        except ApiError as error:
            raise _clearer(error, argv[0]) from None
        if json:
            told = {"project": found.name, "environment": env, "namespace": namespace, "pod": where}
            console.raw(dumps({**told, "container": within, "command": argv, **_output(result)}, indent=2) + "\n")
        return result.exit

    return asyncio.run(on_api(found, place, kubeconfig, run))


def words_after(context: Context, line: Sequence[str]) -> list[str]:
    """Return the words after -- as they were typed; invoke itself only keeps them joined by spaces."""
    typed = list(line[line.index("--") + 1 :]) if "--" in line else []
    return typed if " ".join(typed) == context.remainder else shlex.split(context.remainder)


def _show(stream: int, data: bytes) -> None:
    out = sys.stderr.buffer if stream == STDERR else sys.stdout.buffer
    out.write(data)
    out.flush()


def _output(result: Result) -> dict[str, Any]:
    return {
        "stdout": result.text,
        "stderr": result.stderr.decode("utf-8", "backslashreplace"),
        "cut": max(len(result.stdout), len(result.stderr)) >= LONGEST,
        "code": result.exit,
    }


def _clearer(error: ApiError, program: str) -> ApiError:
    """Return the error of a program that is not in the image with that as its reason; any other as it is."""
    said = str(error)
    if not any(words in said for words in ("no such file or directory", "executable file not found")):
        return error
    place = said.partition(": exec in pod ")[2].partition(":")[0]
    return ApiError(
        f"{place}: the image has no {program}; give a program that it has after --, with its whole path", error.status
    )


def released(project: str, environment: str, cluster: str | None) -> tuple[Project, Place | None, str]:
    """Return a project, its cluster and the namespace of an environment; raises RefusedError for virtual machines."""
    found, place = settled(project, cluster)
    hosts = found.environment(environment).hosts
    if found.is_vm:
        raise RefusedError(
            f"{found.name}: it runs on virtual machines ({', '.join(hosts)}), not in pods; enter one by SSH and see "
            f"`journalctl --unit {found.name}`"
        )
    return found, place, namespace_of(found, environment, settings_of(place))


async def on_api(
    project: Project, place: Place | None, kubeconfig: str | None, work: Callable[[Api], Awaitable[T]]
) -> T:
    """Do something with the API: by a kubeconfig, for which no rendered tree is needed, or through SSH."""
    if kubeconfig is not None:
        given = read_kubeconfig(Path(kubeconfig).expanduser())
        name = place.cluster if place is not None else project.name
        api = Api(Channel(name, [given.endpoint], lambda: given.context, headers=given.headers))
        try:
            return await work(api)
        finally:
            await api.close()
    if place is None:
        raise WorkspaceError("no cluster whose API is meant; name one with --cluster, or give --kubeconfig")
    # Read for this way alone: SSH takes longer to read than all that a kubeconfig needs.
    from fleet.operator_api import operator_api

    async with operator_api(place.rendered, place.inputs) as api:
        return await work(api)
