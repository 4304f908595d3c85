"""ci.logs and ci.shell against an API on loopback, over TLS, as a platform with a kubeconfig calls them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jsonschema
import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from wsproto.events import BytesMessage

from fleet import exec_stream, pod_logs
from fleet.pod_logs import line_from, moment
from fleet.release_pods import pod_from
from tests.ci.samples import MACHINES, PLAIN
from tests.fleet.release_api import TOKEN, ReleaseApi, Socket, container, pod, release_api
from tests.fleet.test_json_documents import schema
from verbs import ci_pods

ENDED = {"exitCode": 137, "reason": "OOMKilled"}
T = "2026-11-22T10:00:0"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseApi]:
    (tmp_path / "hello.yaml").write_text(PLAIN)
    (tmp_path / "machines.yaml").write_text(MACHINES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["invoke"])
    with release_api(tmp_path) as running:
        running.pods = [pod("hello-a", container()), pod("hello-b", container())]
        yield running


def run(verb: Any, remainder: str = "", **options: Any) -> tuple[int, str]:
    given = {"project": "./hello.yaml", "env": "dev", "kubeconfig": "kubeconfig", **options}
    try:
        verb(Context(remainder=remainder), **given)
    except Exit as end:
        assert TOKEN not in (end.message or "")
        return end.code, end.message or ""
    return 0, ""


def test_logs_of_all_pods_come_in_the_order_of_time(api: ReleaseApi, capsys: Any) -> None:
    api.logs = {
        ("hello-a", "app"): [f"{T}1Z one\n{T}3.5Z 10%\r90%\rthree\r\n".encode()],
        ("hello-b", "app"): [f"{T}2.123456789+00:00 two \x1b[31m\nno time\n{T}3.49Z almost".encode()],
    }
    assert run(ci_pods.logs, tail=7) == (0, "")
    assert capsys.readouterr().out.splitlines() == [
        "hello-a/app: one", "hello-b/app: two \N{REPLACEMENT CHARACTER}[31m", "hello-b/app: no time",
        "hello-b/app: almost", "hello-a/app: 10%\N{REPLACEMENT CHARACTER}90%\N{REPLACEMENT CHARACTER}three",
    ]  # fmt: skip
    asked = [parse_qs(urlsplit(one).query) for one in api.seen if "/log?" in one]
    assert [one["tailLines"] for one in asked] == [["7"], ["7"]] and "previous" not in asked[0]
    assert set(api.accepts) == {"*/*"}


def test_logs_of_some_time_one_pod_and_one_container(api: ReleaseApi, capsys: Any) -> None:
    api.pods = [pod("hello-a", container(), container("side")), pod("hello-b", container())]
    api.logs = {("hello-a", "side"): [f"{T}1Z one\n".encode()], ("hello-b", "app"): [f"{T}2Z two\n".encode()]}

    def asked(**options: Any) -> list[dict[str, list[str]]]:
        api.seen.clear()
        assert run(ci_pods.logs, **options) == (0, "")
        return [parse_qs(urlsplit(one).query) for one in api.seen if "/log?" in one]

    (found,) = asked(since="15m", pod="hello-a", container="side", timestamps=True)
    assert capsys.readouterr().out == f"{T}1Z hello-a/side: one\n"
    # All of that time, unless it is said how much of it.
    assert found["sinceSeconds"] == ["900"] and "tailLines" not in found
    (found,) = asked(since="2h", tail=7, pod="hello-b", json=True)
    assert (found["sinceSeconds"], found["tailLines"]) == (["7200"], ["7"])
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["pods"]] == ["hello-b"]
    assert [one["tailLines"] for one in asked()] == [["100"]] * 3
    for options, says in (
        ({"since": "5"}, "--since '5': write a number and s, m, h or d, like 15m"),
        ({"since": "0s"}, "--since '0s'"),
        ({"pod": "hello-x"}, "no pod hello-x is of this release (there are: hello-a, hello-b)"),
        ({"container": "web"}, "no pod of the release has a container web (there are: app, side)"),
        ({"container": "web", "follow": True}, "no pod of the release has a container web"),
    ):
        code, said = run(ci_pods.logs, **options)
        assert code == 1 and says in said


def test_one_node_that_does_not_answer_hides_nothing_of_the_others(api: ReleaseApi, capsys: Any) -> None:
    api.logs = {("hello-a", "app"): [502], ("hello-b", "app"): [f"{T}1Z here\n".encode()]}
    assert run(ci_pods.logs) == (0, "")
    out, err = capsys.readouterr()
    assert out == "hello-b/app: here\n" and "hello-a/app: no log: container is waiting to start; see" in err
    api.logs = {("hello-a", "app"): [403], ("hello-b", "app"): [f"{T}1Z here\n".encode()]}
    code, said = run(ci_pods.logs)
    assert code == 1 and "use credentials that may get pods/log" in said


def test_pods_that_do_not_run_are_named_with_reason(api: ReleaseApi, capsys: Any) -> None:
    waits = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container."}
    api.pods = [
        pod("hello-a", container(restarts=3, last=ENDED, waiting=waits), ready=False),
        pod("hello-b", phase="Failed", ready=False, reason="Evicted", message="The node was low on memory"),
        pod("hello-c", container(terminated={"exitCode": 0, "reason": "Completed"}), phase="Succeeded", ready=False),
        pod("hello-d", container(waiting={"reason": "ImagePullBackOff"}), phase="Pending", ready=False),
        pod("hello-e", container(), container("side")),
    ]
    api.logs = {
        ("hello-a", "app"): [f"{T}1Z before\n".encode()],
        ("hello-c", "app"): [f"{T}2Z done\n".encode()],
        ("hello-e", "app"): [b""],
        ("hello-e", "side"): [400],
    }
    assert run(ci_pods.logs) == (0, "")
    out, err = capsys.readouterr()
    assert out == "hello-a/app: before\nhello-c/app: done\n"
    why = "CrashLoopBackOff: back-off 40s restarting failed container, before: OOMKilled (exit code 137)"
    assert err.splitlines() == [
        f"hello-a: Running: app {why}",
        "hello-b: Failed: Evicted: The node was low on memory",
        "hello-c: Succeeded: app Completed (exit code 0)",
        "hello-d: Pending: app ImagePullBackOff",
        "hello-e/side: no log: container is waiting to start; see the journal of the node's kubelet",
    ]


def test_the_run_before_is_read_where_there_was_one(api: ReleaseApi, capsys: Any) -> None:
    api.pods = [pod("hello-a", container(restarts=1, last=ENDED)), pod("hello-b", container())]
    api.logs = {("hello-a", "app"): [f"{T}1Z out of memory\n".encode()]}
    assert run(ci_pods.logs, previous=True, json=True) == (0, "")
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema("ci.logs"))
    first, second = (one["containers"][0] for one in found["pods"])
    assert first["lines"] == [{"time": f"{T}1Z", "text": "out of memory"}] and first["restarts"] == 1
    assert (second["lines"], second["noLog"]) == ([], "it never ran before")
    assert "previous=true" in next(one for one in api.seen if "/log?" in one)


def test_a_release_is_followed_through_restarts_breaks_and_new_pods(
    api: ReleaseApi, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(pod_logs.Follower.__init__, "__kwdefaults__", {"look": 0.15, "pod": None, "container": None})
    again = container(restarts=1, last=ENDED)
    api.later = [
        [pod("hello-a", container())],
        [pod("hello-a", container())],
        [pod("hello-a", again)],
        [pod("hello-a", again), pod("hello-b", container(waiting={"reason": "ContainerCreating"}), ready=False)],
        [pod("hello-b", container(terminated=ENDED), phase="Failed", ready=False)],
        [pod("hello-b", container(terminated=ENDED), phase="Failed", ready=False)],
        [],
    ]
    api.logs = {
        ("hello-a", "app"): [
            f"{T}1.1Z one\n{T}1.2Z cut\n".encode(),
            f"{T}1.1Z one\n{T}1.2Z cut\n{T}1.3Z three\n".encode(),
            f"{T}1.3Z three\n{T}4Z four\n".encode(),
            f"{T}4Z four\n".encode(),
        ],
        ("hello-b", "app"): [f"{T}5Z five\n{T}6Z six".encode()],
    }
    assert run(ci_pods.logs, follow=True, json=True, tail=5) == (0, "")
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    for one in lines:
        jsonschema.validate(one, schema("ci.logs.follow"))
    assert [one["text"] for one in lines] == ["one", "cut", "three", "four", "five", "six"]
    assert "hello-b: Failed: app OOMKilled (exit code 137)" in err
    assert "no release hello is in namespace apps-dev" in err.splitlines()[-1]
    asked = [parse_qs(urlsplit(one).query) for one in api.seen if "/log?" in one]
    assert asked[0]["tailLines"] == ["5"] and asked[1]["sinceTime"] == ["2026-11-22T10:00:01Z"]
    assert sum("/hello-b/log" in one for one in api.seen) == 1, "what ended is read once"


def test_what_is_followed_goes_on_while_nobody_can_be_asked(api: ReleaseApi, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(pod_logs.Follower.__init__, "__kwdefaults__", {"look": 0.1, "pod": None, "container": None})
    both = [pod("hello-a", container()), pod("hello-b", container())]
    api.later = [[pod("hello-a", container())], both, both, []]
    api.away = [0, 500, 502, 500]
    api.logs = {
        ("hello-a", "app"): [f"{T}1Z one\n".encode(), b""],
        ("hello-b", "app"): [f"{T}2Z two\n".encode(), b""],
    }
    assert run(ci_pods.logs, follow=True, tail=5) == (0, "")
    out, err = capsys.readouterr()
    assert out == "hello-a/app: one\nhello-b/app: two\n"
    # Said once, not at every look.
    assert err.count("etcdserver: leader changed") == 1 and "what comes is waited for" in err
    first = {
        urlsplit(one).path.split("/")[-2]: parse_qs(urlsplit(one).query) for one in api.seen[::-1] if "/log?" in one
    }
    # What begins later is read from its beginning.
    assert first["hello-a"]["tailLines"] == ["5"] and "tailLines" not in first["hello-b"]


def test_one_pod_is_followed_until_it_is_gone(api: ReleaseApi, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(pod_logs.Follower.__init__, "__kwdefaults__", {"look": 0.1, "pod": None, "container": None})
    one, two = (pod(name, container(), container("side")) for name in ("hello-a", "hello-b"))
    api.later = [[one, two], [one]]
    every = [(name, which) for name in ("hello-a", "hello-b") for which in ("app", "side")]
    api.logs = {key: [f"{T}2Z {'/'.join(key)}\n".encode()] for key in every}
    assert run(ci_pods.logs, follow=True, pod="hello-b", container="side") == (0, "")
    out, err = capsys.readouterr()
    assert out == "hello-b/side: hello-b/side\n" and err.splitlines()[-1] == "pod hello-b is gone"


def test_a_refusal_while_a_release_is_followed_ends_it(api: ReleaseApi, monkeypatch: Any) -> None:
    monkeypatch.setattr(pod_logs.Follower.__init__, "__kwdefaults__", {"look": 0.1, "pod": None, "container": None})
    api.forbidden = {"log"}
    code, said = run(ci_pods.logs, follow=True)
    assert code == 1 and "use credentials that may get pods/log in that namespace" in said


@pytest.mark.parametrize("verb", [ci_pods.logs, ci_pods.shell])
def test_what_stands_in_the_way_is_said(api: ReleaseApi, tmp_path: Path, verb: Any) -> None:
    def said(**options: Any) -> str:
        code, words = run(verb, "true", **options)
        assert code == 1
        return words

    assert "has no environment 'qa'" in said(env="qa")
    assert "it runs on virtual machines" in said(project="./machines.yaml", env="prd")
    assert "give --kubeconfig" in said(kubeconfig=None)
    api.forbidden = {"pods"}
    assert "pods is forbidden" in said() and "use credentials that may do this" in said()
    api.forbidden, api.pods = {"deployments"}, []
    assert "no pod of release hello is in namespace apps-dev" in said()
    api.forbidden = set()
    assert "no release hello is in namespace apps-dev; release it there first" in said()
    api.deployments = [{"metadata": {}, "spec": {"replicas": 0}}]
    assert "scaled to no pod" in said()
    quota = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods."}
    api.deployments = [{"metadata": {}, "spec": {"replicas": 2}, "status": {"conditions": [quota]}}]
    assert "release hello in namespace apps-dev has no pod: exceeded quota: pods; see" in said()
    (tmp_path / "kubeconfig").write_text((tmp_path / "kubeconfig").read_text().replace(TOKEN, "old"))
    assert "Unauthorized; use credentials of this cluster's own CA" in said()


def test_options_that_mean_nothing_are_refused(api: ReleaseApi) -> None:
    assert "--tail -1" in run(ci_pods.logs, tail=-1)[1]
    assert "--follow and --previous" in run(ci_pods.logs, follow=True, previous=True)[1]
    assert "there is no terminal for a shell" in run(ci_pods.shell)[1]
    assert api.seen == []


def test_a_program_runs_and_its_exit_status_is_ours(api: ReleaseApi, capfdbinary: Any, monkeypatch: Any) -> None:
    async def program(socket: Socket) -> None:
        await socket.say(1, b"out \xff\n")
        await socket.say(2, b"err\n")
        await socket.end(3)

    api.program = program
    monkeypatch.setattr(sys, "argv", ["invoke", "ci.shell", "--", "sh", "-c", "echo  a; exit 3"])
    assert run(ci_pods.shell, "sh -c echo  a; exit 3") == (3, "")
    out, err = capfdbinary.readouterr()
    assert out == b"out \xff\n" and err.endswith(b"err\n") and b"hello-a/app: sh -c 'echo  a; exit 3'" in err
    target = urlsplit(api.seen[-1])
    assert target.path == "/api/v1/namespaces/apps-dev/pods/hello-a/exec"
    assert parse_qsl(target.query) == [
        ("command", "sh"), ("command", "-c"), ("command", "echo  a; exit 3"), ("stdout", "true"), ("stderr", "true"),
        ("container", "app"),
    ]  # fmt: skip


def test_a_program_answers_a_platform_as_a_document(api: ReleaseApi, capsys: Any) -> None:
    async def program(socket: Socket) -> None:
        await socket.say(1, b"one\n")
        await socket.say(2, b"two\n")
        await socket.end(4)

    api.program = program
    assert run(ci_pods.shell, "cat 'a b'", json=True, pod="hello-b") == (4, "")
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema("ci.shell"))
    assert (found["stdout"], found["stderr"], found["cut"], found["code"]) == ("one\n", "two\n", False, 4)
    assert (found["pod"], found["container"], found["command"]) == ("hello-b", "app", ["cat", "a b"])


def test_a_program_that_says_too_much_is_told_to_be_cut(api: ReleaseApi, capsys: Any, monkeypatch: Any) -> None:
    async def program(socket: Socket) -> None:
        await socket.say(1, b"x" * 300)
        await socket.end()

    api.program = program
    for module in (exec_stream, ci_pods):
        monkeypatch.setattr(module, "LONGEST", 200)
    assert run(ci_pods.shell, "yes", json=True) == (0, "")
    found = json.loads(capsys.readouterr().out)
    assert (found["stdout"], found["cut"]) == ("x" * 200, True)


def test_a_container_that_runs_is_chosen(api: ReleaseApi, capsys: Any) -> None:
    async def program(socket: Socket) -> None:
        await socket.end()

    api.program = program
    api.pods = [
        pod("hello-a", container(), ready=False),
        pod("hello-b", container(terminated=ENDED), container("side")),
        pod("hello-c", phase="Failed", ready=False, reason="Evicted"),
    ]

    def chosen(**options: Any) -> str:
        code, said = run(ci_pods.shell, "true", json=True, **options)
        if code:
            return said
        found = json.loads(capsys.readouterr().out)
        return f"{found['pod']}/{found['container']}"

    assert chosen() == "hello-b/side"
    assert chosen(container="app") == "hello-a/app"
    assert "no pod of the release has a container web (there are: app, side)" in chosen(container="web")
    assert "no pod hello-x is of this release (there are: hello-a, hello-b, hello-c)" in chosen(pod="hello-x")
    assert "no container app of the release runs (hello-b: Running" in chosen(pod="hello-b", container="app")
    assert "no container of the release runs (hello-c: Failed: Evicted)" in chosen(pod="hello-c")


def test_a_program_that_the_image_has_not_is_said(api: ReleaseApi) -> None:
    async def program(socket: Socket) -> None:
        await socket.end(message='OCI runtime exec failed: exec: "/bin/sh": stat /bin/sh: no such file or directory')

    api.program = program
    code, said = run(ci_pods.shell, "/bin/sh")
    assert code == 1 and "apps-dev/hello-a: the image has no /bin/sh; give a program that it has after --" in said


def test_who_may_not_enter_is_told(api: ReleaseApi) -> None:
    api.forbidden = {"exec"}
    code, said = run(ci_pods.shell, "true")
    assert code == 1 and "exec is forbidden" in said and "use credentials that may do this" in said


def test_a_terminal_is_handed_through_and_given_back(api: ReleaseApi, monkeypatch: Any) -> None:
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    before = termios.tcgetattr(screen)
    heard: list[bytes] = []
    raw: list[bool] = []

    async def message(socket: Socket) -> bytes:
        event = await socket.event()
        assert isinstance(event, BytesMessage)
        heard.append(bytes(event.data))
        return heard[-1]

    async def program(socket: Socket) -> None:
        await message(socket)
        raw.append(not termios.tcgetattr(screen)[3] & (termios.ECHO | termios.ICANON | termios.ISIG))
        await socket.say(1, b"$ ")
        os.write(keyboard, b"ls\x03")
        typed = b""
        while len(typed) < 3:
            typed += (await message(socket))[1:]
        # What the kernel tells the process that has the terminal.
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 90, 0, 0))
        os.kill(os.getpid(), 28)
        await message(socket)
        await socket.end(5)

    api.program = program
    with os.fdopen(screen, "r+b", buffering=0, closefd=False) as file:
        for name in ("stdin", "stdout"):
            monkeypatch.setattr(sys, name, file)
        code, said = run(ci_pods.shell)
        monkeypatch.undo()
    assert (code, said) == (5, "")
    assert raw == [True] and termios.tcgetattr(screen) == before
    assert json.loads(heard[0][1:]) == {"Width": 100, "Height": 30} and heard[0][:1] == b"\x04"
    assert b"".join(one[1:] for one in heard[1:-1] if one[:1] == b"\x00") == b"ls\x03"
    assert json.loads(heard[-1][1:]) == {"Width": 90, "Height": 50}
    assert os.read(keyboard, 100).endswith(b"$ ")
    asked = parse_qsl(urlsplit(api.seen[-1]).query)
    assert ("tty", "true") in asked and ("stdin", "true") in asked and ("command", "/bin/sh") in asked
    os.close(keyboard)
    os.close(screen)


def test_times_of_all_versions_are_compared() -> None:
    assert moment(f"{T}1.5Z") == moment(f"{T}1.500000000Z") == moment("2026-11-22T11:00:01.5+01:00")
    assert moment(f"{T}1Z") < moment(f"{T}1.000000001Z") < moment(f"{T}2Z")
    assert moment("") == moment("words") == (0, 0)
    assert line_from("p", "c", b"unable to read").text == "unable to read"
    assert line_from("p", "c", f"{T}1Z ".encode()).text == ""


def test_a_pod_that_waits_for_a_node_says_why() -> None:
    waits = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes are available"}
    ]
    found = pod_from(
        pod("hello-a", phase="Pending", ready=False) | {"status": {"phase": "Pending", "conditions": waits}}
    )
    assert found.line == "hello-a: Pending: Unschedulable: 0/5 nodes are available"
