from __future__ import annotations

import json

from generator.components.bridge import COMPONENT, CONFLIST, ROUTES, SCRIPT, UNIT
from generator.components.items import HostFile
from tests.components.clusters import bridged, cluster, of_host, shared, text


def test_only_where_the_cluster_uses_it() -> None:
    assert not COMPONENT.runs_on(cluster(), cluster().pools["workers"])
    assert COMPONENT.runs_on(bridged(), bridged().pools["control"])


def test_routes_are_in_the_order_of_numbers_and_family_by_family() -> None:
    assert text(shared(COMPONENT, bridged()), ROUTES).splitlines() == [
        "10.244.2.0/24 via 10.0.0.2",
        "10.244.10.0/24 via 10.0.0.1",
        "fd00:10:0:2::/64 via fd00::2",
        "fd00:10:0:a::/64 via fd00::1",
    ]


def test_a_changed_list_reloads_and_never_restarts() -> None:
    items = {**shared(COMPONENT, bridged()), **of_host(COMPONENT, bridged(), "cp1")}
    for path in (ROUTES, SCRIPT, f"/etc/systemd/system/{UNIT}", "/etc/slipway/bridge.env"):
        item = items[path]
        assert isinstance(item, HostFile)
        assert (item.restarts, item.reloads) == ((), (UNIT,))


def test_conflist_gives_the_hosts_subnets_and_leaves_masquerading_to_the_unit() -> None:
    written = json.loads(text(of_host(COMPONENT, bridged(), "cp1"), CONFLIST))
    bridge, portmap = written["plugins"]
    assert bridge["ipMasq"] is False
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.10.0/24"}], [{"subnet": "fd00:10:0:a::/64"}]]
    assert bridge["ipam"]["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    assert portmap == {"type": "portmap", "capabilities": {"portMappings": True}}


def test_own_addresses_are_the_hosts() -> None:
    facts = text(of_host(COMPONENT, bridged(), "worker1"), "/etc/slipway/bridge.env")
    assert facts == "SLIPWAY_NODE_IP=10.0.0.2,fd00::2\n"
