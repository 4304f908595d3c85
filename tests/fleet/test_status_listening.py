"""Who listens, from /proc/net, and how it compares with the port table."""

from __future__ import annotations

import pytest

from fleet.ports import YOURS, Port
from fleet.status.listening import PODS, Listening, foreign, missing, socket_address


def port(number: int, *scopes: str, last: int = 0, component: str = "etcd") -> Port:
    return Port(number, last or number, "tcp", frozenset(scopes), frozenset({"host"}), component, "something")


@pytest.mark.parametrize(
    ("text", "address", "number"),
    [
        ("0100007F:094D", "127.0.0.1", 2381),
        ("0B00530A:094C", "10.83.0.11", 2380),
        ("00000000:0016", "0.0.0.0", 22),
        ("00000000000000000000000000000000:280A", "::", 10250),
        ("00000000000000000000000001000000:20FB", "::1", 8443),
        ("0000000000000000FFFF00000100007F:192B", "127.0.0.1", 6443),
        # 2001:db8::a1:b2c3
        ("B80D01200000000000000000C3B2A100:FFFF", "2001:db8::a1:b2c3", 65535),
    ],
)
def test_addresses_of_proc_are_read(text: str, address: str, number: int) -> None:
    assert socket_address(text) == (address, number)


@pytest.mark.parametrize("text", ["", "0100007F", "0100007G:0016", "01:0016", "0100007F:", "0100007F:zz"])
def test_what_is_no_socket_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        socket_address(text)


@pytest.mark.parametrize(
    ("address", "scope"),
    [("127.0.0.1", "loopback"), ("127.0.0.53", "loopback"), ("::1", "loopback"), ("0.0.0.0", "any"), ("::", "any"),
     ("10.0.0.1", "address"), ("2001:db8::1", "address")],
)  # fmt: skip
def test_scopes(address: str, scope: str) -> None:
    assert Listening(1, address).scope == scope


def test_words_for_people() -> None:
    assert Listening(80, "::1").at == "[::1]:80" and Listening(80, "10.0.0.1").at == "10.0.0.1:80"
    assert Listening(80, "::", "nc", 7, "user.slice").holder == "nc of user.slice"
    assert Listening(80, "::", "nc", 7, PODS).holder == "nc of a pod"
    assert Listening(80, "::").holder == "a process that could not be made out"


def test_each_scope_of_a_port_must_be_served() -> None:
    table = (port(2379, "loopback", "address"), port(22, "any", component="sshd"), port(30000, "any", last=32767))
    own = "10.0.0.1"
    assert missing(table, [Listening(2379, own), Listening(2379, "127.0.0.1")], own) == ()
    assert missing(table, [Listening(2379, "::")], own) == ()
    assert missing(table, [Listening(2379, "127.0.0.1")], own) == ((table[0], "address"),)
    assert missing(table, [Listening(2379, "127.0.0.1"), Listening(2379, "10.0.0.2")], own) == ((table[0], "address"),)
    assert [scope for _, scope in missing(table, [Listening(2380, "::")], own)] == ["address", "loopback"]
    assert missing((port(6443, "any"),), [Listening(6443, "127.0.0.1")], own) != ()


def test_what_the_table_does_not_name_is_foreign() -> None:
    table = (
        port(6443, "any"),
        port(10257, "loopback", component="kube-controller-manager"),
        port(30000, "any", last=32767),
    )
    good = [Listening(6443, "::"), Listening(10257, "127.0.0.1"), Listening(30000, "0.0.0.0"), Listening(32767, "::")]
    own = ("10.0.0.1",)
    assert foreign(table, good, own) == ()
    assert foreign(table, [Listening(6443, "10.0.0.1"), Listening(6443, "203.0.113.9")], own) == ()
    assert foreign(table, [Listening(8080, "127.0.0.1")], own) == (
        (Listening(8080, "127.0.0.1"), "the port table does not name it"),
    )
    assert [reason for _, reason in foreign(table, [Listening(10257, "::"), Listening(32768, "::")], own)] == [
        "kube-controller-manager is to listen on loopback only",
        "the port table does not name it",
    ]


def test_another_address_of_the_host_is_not_its_own() -> None:
    table = (port(2379, "loopback", "address"), port(2380, "address"), port(6443, "any"))
    own = ("10.0.0.1", "fd00::1")
    good = [Listening(2379, "10.0.0.1"), Listening(2379, "127.0.0.1"), Listening(2380, "10.0.0.1")]
    assert foreign(table, [*good, Listening(2379, "fd00::1")], own) == ()
    public = Listening(2379, "203.0.113.9")
    assert foreign(table, [*good, public], own) == (
        (public, "etcd is to listen on the host's own address and loopback only"),
    )
    # One that serves every address is nothing new to another one.
    assert foreign((*table, port(2379, "any", component="nginx")), [public], own) == ()
    assert [one for one, _ in foreign(table, [Listening(2379, "fd00::1")], own[:1])] == [Listening(2379, "fd00::1")]
    assert foreign(table, [Listening(2379, "::")], own) != ()


def test_a_listener_of_the_users_own_is_known_and_never_missed() -> None:
    own = Port(9100, 9100, "tcp", frozenset({"any"}), frozenset({"10.2.0.0/16"}), YOURS, "node exporter")
    assert missing((own,), [], "10.0.0.1") == ()
    assert foreign((own,), [Listening(9100, "::", "node_exporter", 7)], ["10.0.0.1"]) == ()
    assert foreign((), [Listening(9100, "::")], ["10.0.0.1"])[0][1] == "the port table does not name it"


def test_a_udp_port_says_nothing_about_tcp() -> None:
    dns = Port(53, 53, "udp", frozenset({"any"}), frozenset({"pods"}), "dns", "names")
    assert missing((dns,), [], "10.0.0.1") == ()
    assert foreign((dns,), [Listening(53, "10.0.0.1")], ["10.0.0.1"])[0][1] == "the port table does not name it"


def test_a_port_that_is_turned_to_a_pod_is_never_missed_and_whoever_sits_there_is_not_reached() -> None:
    turned = port(443, "turned", component="traefik")
    assert missing((turned,), [], "10.0.0.1") == ()
    assert foreign((turned,), [Listening(443, "10.0.0.1", "nginx", 7)], ["10.0.0.1"])[0][1] == (
        "the pod network sends what comes to it from outside to traefik"
    )
    assert foreign((turned, port(443, "any", component=YOURS)), [Listening(443, "::")], ["10.0.0.1"]) == ()
