"""Requests to the API over TLS on any stream: trust, kept connections, servers that are gone or busy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fleet.channel import Channel
from fleet.endpoints import Endpoint
from fleet.kube import Api, Ref
from fleet.tls import Credential, client_context
from generator.errors import ApiError, HostError, PkiError
from tests.fleet.api_stand_in import Pki, Reply, Seen, StandIn, plain_stream, stand_in

Answer = Callable[[Seen], Reply]
DISCOVER = "prod: kube-apiserver: discover v1: "


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def endpoint(name: str, port: int, server_name: str = "127.0.0.1") -> Endpoint:
    return Endpoint(name, server_name, port, lambda: plain_stream(port))


def gone(name: str, error: Exception) -> Endpoint:
    async def dial() -> Any:
        raise error

    return Endpoint(name, "127.0.0.1", 1, dial)


def with_server(
    pki: Pki, folder: Path, answer: Answer, action: Callable[[StandIn], Coroutine[Any, Any, None]]
) -> StandIn:
    async def main() -> StandIn:
        async with stand_in(pki.server_context(folder), answer) as running:
            await action(running)
            return running

    return asyncio.run(main())


def channel(pki: Pki, *endpoints: Endpoint, clock: Clock | None = None) -> Channel:
    clock = clock or Clock()
    context = client_context(pki.pem, pki.client("slipway:tester@here"))
    return Channel("prod", endpoints, lambda: context, sleep=clock.sleep, now=clock.now)


async def get(one: Channel, target: str = "/x", **more: Any) -> tuple[int, bytes]:
    answer = await one.request("GET", target, {}, b"", seconds=20, **more)
    return answer.status, answer.body


def test_the_client_proves_itself_and_the_connection_is_kept(pki: Pki, tmp_path: Path) -> None:
    async def action(running: StandIn) -> None:
        one = channel(pki, endpoint("cp1", running.port))
        for _ in range(3):
            assert await get(one) == (200, b'{"a": 1}')
        await one.close()

    running = with_server(pki, tmp_path, lambda seen: Reply(body=b'{"a": 1}'), action)
    assert running.connections == 1
    assert {seen.client for seen in running.seen} == {"slipway:tester@here"}
    assert running.seen[0].headers["host"] == f"127.0.0.1:{running.port}"


def test_answers_of_every_shape(pki: Pki, tmp_path: Path) -> None:
    big = os.urandom(3_000_000)

    async def action(running: StandIn) -> None:
        one = channel(pki, endpoint("cp1", running.port))
        assert await get(one, "/chunked") == (200, big)
        assert await get(one, "/close") == (200, big)
        assert await get(one, "/whole") == (200, big)
        await one.close()

    def answer(seen: Seen) -> Reply:
        return Reply(body=big, chunked=seen.target == "/chunked", close=seen.target == "/close")

    with_server(pki, tmp_path, answer, action)


def test_many_requests_at_once(pki: Pki, tmp_path: Path) -> None:
    async def action(running: StandIn) -> None:
        one = channel(pki, endpoint("cp1", running.port))
        bodies = await asyncio.gather(*(get(one, f"/{number}") for number in range(20)))
        assert [body for _, body in bodies] == [f'"/{number}"'.encode() for number in range(20)]
        await one.close()

    with_server(pki, tmp_path, lambda seen: Reply(body=f'"{seen.target}"'.encode()), action)


def test_a_kept_connection_that_the_server_closed_is_opened_anew(pki: Pki, tmp_path: Path) -> None:
    replies = iter([Reply(), Reply(hang_up=True), Reply(body=b"again")])

    async def action(running: StandIn) -> None:
        clock = Clock()
        one = channel(pki, endpoint("cp1", running.port), clock=clock)
        await get(one)
        assert await get(one) == (200, b"again")
        assert clock.slept == []
        await one.close()

    assert with_server(pki, tmp_path, lambda seen: next(replies), action).connections == 2


def test_an_answer_cut_off_is_asked_for_again(pki: Pki, tmp_path: Path) -> None:
    replies = iter([Reply(body=b"whole", cut=True), Reply(body=b"whole")])

    async def action(running: StandIn) -> None:
        one = channel(pki, endpoint("cp1", running.port))
        assert await get(one) == (200, b"whole")
        await one.close()

    with_server(pki, tmp_path, lambda seen: next(replies), action)


def test_the_next_control_plane_host_is_asked_and_stayed_with(pki: Pki, tmp_path: Path) -> None:
    calls: list[str] = []

    async def refused() -> Any:
        calls.append("cp1")
        raise ConnectionRefusedError(111, "Connection refused")

    async def action(running: StandIn) -> None:
        clock = Clock()
        one = channel(pki, Endpoint("cp1", "127.0.0.1", 1, refused), endpoint("cp2", running.port), clock=clock)
        await get(one)
        await get(one)
        assert one.endpoint.name == "cp2" and calls == ["cp1"] and clock.slept == []
        await one.close()

    with_server(pki, tmp_path, lambda seen: Reply(), action)


def test_nobody_answers_in_time(pki: Pki) -> None:
    clock = Clock()
    one = channel(
        pki,
        gone("cp1", ConnectionRefusedError(111, "Connection refused")),
        gone("cp2", HostError("cp2: gone", "cp2")),
        clock=clock,
    )
    with pytest.raises(ApiError) as caught:
        asyncio.run(get(one))
    text = "prod: kube-apiserver: no API server can be reached (cp1: connection refused; cp2: cp2: gone); "
    assert str(caught.value) == text + "see that kube-apiserver runs on a control-plane host"
    assert 15 < clock.time <= 20
    assert clock.slept[:4] == [0.2, 0.4, 0.8, 1.6] and max(clock.slept) == 3.0


def test_a_busy_server_is_waited_for_as_long_as_it_says(pki: Pki, tmp_path: Path) -> None:
    replies = iter([Reply(429, headers=(("retry-after", "5"),)), Reply(503), Reply(body=b"now")])

    async def action(running: StandIn) -> None:
        clock = Clock()
        one = channel(pki, endpoint("cp1", running.port), clock=clock)
        assert await get(one) == (200, b"now")
        assert clock.slept == [5.0, 0.4]
        await one.close()

    with_server(pki, tmp_path, lambda seen: next(replies), action)


def test_a_busy_answer_can_be_wanted(pki: Pki, tmp_path: Path) -> None:
    async def action(running: StandIn) -> None:
        one = channel(pki, endpoint("cp1", running.port))
        assert (await get(one, wait_busy=False))[0] == 429
        await one.close()

    with_server(pki, tmp_path, lambda seen: Reply(429), action)


def test_a_server_with_another_name_is_never_asked(pki: Pki, tmp_path: Path) -> None:
    async def action(running: StandIn) -> None:
        one = channel(pki, endpoint("cp1", running.port, "10.0.0.1"))
        with pytest.raises(ApiError, match=r"^prod/cp1: kube-apiserver: its certificate is not good for 10\.0\.0\.1: "):
            await get(one)

    assert with_server(pki, tmp_path, lambda seen: Reply(), action).seen == []


def test_a_server_of_another_ca_is_never_asked(pki: Pki, tmp_path: Path) -> None:
    async def action(running: StandIn) -> None:
        context = client_context(Pki().pem)
        one = Channel("prod", [endpoint("cp1", running.port)], lambda: context)
        with pytest.raises(ApiError, match="its certificate is not good for"):
            await get(one)

    assert with_server(pki, tmp_path, lambda seen: Reply(), action).seen == []


def test_old_tls_is_not_spoken(pki: Pki) -> None:
    import ssl

    assert client_context(pki.pem).minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context(pki.pem).check_hostname and client_context(pki.pem).verify_mode == ssl.CERT_REQUIRED


def test_a_new_certificate_takes_new_connections(pki: Pki, tmp_path: Path) -> None:
    contexts = [client_context(pki.pem, pki.client(name)) for name in ("one", "two")]

    async def action(running: StandIn) -> None:
        one = Channel("prod", [endpoint("cp1", running.port)], lambda: contexts[0])
        await get(one)
        contexts.pop(0)
        await get(one)
        await one.close()

    assert [seen.client for seen in with_server(pki, tmp_path, lambda seen: Reply(), action).seen] == ["one", "two"]


def test_keys_reach_openssl_without_a_file_on_disk(pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    open_before = set(os.listdir("/proc/self/fd"))
    credential = pki.client("x")
    client_context(pki.pem, credential)
    assert list(tmp_path.iterdir()) == []
    assert set(os.listdir("/proc/self/fd")) == open_before
    assert "key" not in repr(credential) and credential.key.decode() not in repr(credential)


def test_a_key_that_does_not_fit_is_told(pki: Pki) -> None:
    one, other = pki.client("one"), pki.client("other")
    with pytest.raises(PkiError, match="client certificate and key do not work together: key values mismatch"):
        client_context(pki.pem, Credential(one.certificate, other.key))
    with pytest.raises(PkiError, match="the cluster's CA certificate cannot be read"):
        client_context(b"nothing")


def test_an_apply_is_marked_as_ours_and_as_yaml(pki: Pki, tmp_path: Path) -> None:
    discovery = b'{"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": true, "verbs": ["patch"]}]}'

    async def action(running: StandIn) -> None:
        api = Api(channel(pki, endpoint("cp1", running.port)))
        value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a:b/c", "namespace": "x"}}
        await api.apply(value, dry_run=True, force=True)
        await api.close()

    def answer(seen: Seen) -> Reply:
        return Reply(body=discovery if seen.target == "/api/v1" else b'{"kind": "ConfigMap"}')

    seen = with_server(pki, tmp_path, answer, action).seen[-1]
    assert (seen.method, seen.headers["content-type"]) == ("PATCH", "application/apply-patch+yaml")
    path = "/api/v1/namespaces/x/configmaps/a:b%2Fc"
    assert seen.target == f"{path}?fieldManager=slipway&force=true&dryRun=All"


def test_a_kind_that_has_just_been_defined_is_found(pki: Pki, tmp_path: Path) -> None:
    resource = b'{"resources": [{"name": "boats", "kind": "Boat", "namespaced": true, "verbs": []}]}'
    replies = iter([Reply(404), Reply(body=resource), Reply(body=b'{"kind": "Boat"}')])

    async def action(running: StandIn) -> None:
        api = Api(channel(pki, endpoint("cp1", running.port)))
        assert await api.get(Ref("example.net/v1", "Boat", "x", "b")) == {"kind": "Boat"}
        await api.close()

    with_server(pki, tmp_path, lambda seen: next(replies), action)


@pytest.mark.parametrize(
    ("reply", "wanted", "reason"),
    [
        (Reply(401, b'{"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}'),
         f"{DISCOVER}Unauthorized; use credentials of this cluster's own CA, and check the clocks",
         "Unauthorized"),
        (Reply(500, b"oops"), f"{DISCOVER}HTTP status 500; see the journal of kube-apiserver", ""),
        (Reply(200, b"<html>"), f"{DISCOVER}an answer that is no JSON; see the journal of kube-apiserver", ""),
    ],
)  # fmt: skip
def test_refusals_in_words(pki: Pki, tmp_path: Path, reply: Reply, wanted: str, reason: str) -> None:
    async def action(running: StandIn) -> None:
        api = Api(channel(pki, endpoint("cp1", running.port)))
        with pytest.raises(ApiError) as caught:
            await api.list("v1", "Node")
        assert (str(caught.value), caught.value.reason) == (wanted, reason)
        await api.close()

    with_server(pki, tmp_path, lambda seen: reply, action)


def test_a_list_whose_token_ran_out_is_read_in_one_piece(pki: Pki, tmp_path: Path) -> None:
    discovery = b'{"resources": [{"name": "nodes", "kind": "Node", "namespaced": false, "verbs": []}]}'
    replies = iter([
        Reply(body=discovery),
        Reply(body=b'{"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "t"}}'),
        Reply(410, b'{"kind": "Status", "reason": "Expired"}'),
        Reply(body=b'{"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}], "metadata": {}}'),
    ])  # fmt: skip

    async def action(running: StandIn) -> None:
        api = Api(channel(pki, endpoint("cp1", running.port)))
        assert [node["metadata"]["name"] for node in await api.list("v1", "Node")] == ["a", "b"]
        await api.close()

    seen = with_server(pki, tmp_path, lambda seen: next(replies), action).seen
    assert seen[-1].target == "/api/v1/nodes"
