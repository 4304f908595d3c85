"""A page is asked for as a host sees it: the first answer is waited for, and one lucky answer is not enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from fleet.verify.services import MORE, cluster_ips, no_page, node_port
from fleet.verify.visits import each, ring
from tests.fleet.local_host import LocalHost

PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nw1\n"


def trouble(folder: Path, answer: Callable[[int], bytes], seconds: float = 1.0) -> tuple[str, int]:
    """What is said of a server that gives the answers in turn, and how often it was asked."""

    async def main() -> tuple[str, int]:
        count = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(count))
            count += 1
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            host = LocalHost("w1", folder)
            return await no_page(host, "127.0.0.1", port, {"w1", "w2"}, seconds=seconds, pause=0.05), count
        finally:
            server.close()

    return asyncio.run(main())


def test_a_page_of_a_test_pod_is_no_trouble(tmp_path: Path) -> None:
    assert trouble(tmp_path, lambda _: PAGE) == ("", 1 + MORE)


def test_a_service_may_take_its_time_to_be_programmed(tmp_path: Path) -> None:
    assert trouble(tmp_path, lambda number: PAGE if number > 2 else b"")[0] == ""


def test_one_answer_by_luck_is_trouble(tmp_path: Path) -> None:
    words, _ = trouble(tmp_path, lambda number: PAGE if number == 0 else b"")
    assert "not all of its pods can be reached" in words


def test_a_stranger_is_trouble(tmp_path: Path) -> None:
    words, _ = trouble(tmp_path, lambda _: b"HTTP/1.0 200 OK\r\n\r\nnginx", seconds=0.2)
    assert words == "something else than a test pod answers, for 0 s"


def test_a_closed_port_is_trouble(tmp_path: Path) -> None:
    words = asyncio.run(no_page(LocalHost("w1", tmp_path), "127.0.0.1", 1, {"w1"}, seconds=0.1, pause=0.05))
    assert words.endswith("for 0 s")


def test_addresses_of_a_service() -> None:
    assert cluster_ips({"spec": {"clusterIP": "10.96.0.9"}}) == ("10.96.0.9",)
    assert cluster_ips({"spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"]}})[1] == "fd00::9"
    assert node_port({"spec": {"ports": [{"port": 80, "nodePort": 30999}]}}) == 30999


def test_a_ring_comes_back_to_its_beginning() -> None:
    assert ring("abc") == [("a", "b"), ("b", "c"), ("c", "a")]
    assert ring("ab") == [("a", "b"), ("b", "a")]
    assert ring("a") == ring("") == []


def test_never_more_at_once_than_allowed_and_an_error_ends_all() -> None:
    running = most = 0
    ended: list[int] = []

    async def one(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.01 if number != 7 else 0)
            if number == 7:
                raise ValueError("seven")
            ended.append(number)
            return number
        finally:
            running -= 1

    assert asyncio.run(each(range(6), 2, one)) == list(range(6))
    assert most == 2
    ended.clear()
    try:
        asyncio.run(each(range(100), 8, one))
    except ValueError:
        assert len(ended) < 100 and running == 0
    else:
        raise AssertionError("the error is lost")
