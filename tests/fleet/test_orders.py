"""An order that arrives in part is not begun, whichever script it is for."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from fleet.host_scripts import run_script, script_argv, script_text
from tests.fleet.local_host import LocalHost, as_root

RECORD = "/etc/a\tfile\truntime\tidle\t{digest}\t2\t-\t-\tid\t-\t-\n"
ORDERS = {
    "activate": (["new"], b"phase\tone\nphase\ttwo\nend\n"),
    "remove": (["new"], b"about\tsomebody\nfile\t/etc/a\nend\n"),
    "record": (["generation", "new"], b'{"generation":"new"}\nend\n'),
    "bootstrap": (["write", "/run/kubeconfig"], b"kind: Config\ntoken: abcdef\nend\n"),
    "journal": (["add"], b'{"run":"one"}\nend\n'),
    "lock": (["take", "one"], b'{"run":"one"}\nend\n'),
}


def contents(host: LocalHost) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in host.root.rglob("*") if path.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    made = LocalHost("n1", tmp_path)
    (made.root / "etc/a").write_text("a\n")
    made.state("").mkdir(parents=True)
    digest = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
    made.state("installed").write_text(RECORD.format(digest=digest))
    made.state("generation").write_text("old\n")
    made.state("staged/new").mkdir(parents=True)
    made.state("staged/new/manifest").touch()
    return made


@as_root
@pytest.mark.parametrize("name", ORDERS)
def test_an_order_that_was_cut_off_anywhere_changes_nothing(host: LocalHost, name: str) -> None:
    words, order = ORDERS[name]
    before = contents(host)
    ends = {order.index(b"\n"), order.index(b"\n") + 1, len(order) // 2, len(order) - 4, len(order) - 1}
    environment = {**os.environ, "PATH": f"{host.fake / 'bin'}:{os.environ['PATH']}", "FAKE": str(host.fake)}
    for length in sorted({0, *ends}):
        done = subprocess.run(
            ["dash", *script_argv(name, words, str(host.root))[1:]],
            input=script_text(name).encode() + order[:length], capture_output=True, env=environment, check=False,
        )  # fmt: skip
        assert done.stdout == b"fail\tthe order is cut off\n", order[:length]
        assert contents(host) == before and not host.log, order[:length]


@as_root
@pytest.mark.parametrize("name", ORDERS)
def test_a_whole_order_is_carried_out(host: LocalHost, name: str) -> None:
    words, order = ORDERS[name]
    asyncio.run(run_script(host, name, words, order.removesuffix(b"end\n")))
    assert (host.root / "etc/a").exists() is (name != "remove")
    match name:
        case "record":
            assert host.state("about").read_text() == '{"generation":"new"}\n'
        case "bootstrap":
            assert (host.root / "run/kubeconfig").read_bytes() == b"kind: Config\ntoken: abcdef\n"
        case "journal":
            assert host.state("journal").read_text() == '{"run":"one"}\n'
        case "lock":
            assert host.state("lock/holder").read_text() == '{"run":"one"}\n'
