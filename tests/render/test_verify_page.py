"""verify.yaml: it lists no hosts, its ports and certificates are those of the cluster, its rights agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from generator.pki.certificates import certificates
from generator.render.rights import NODE, identities
from generator.render.verify_page import verify_text
from generator.spec.ports import listeners
from tests.golden.cases import CLUSTERS, VARIATIONS, cluster, variation

ALL = [*map(cluster, CLUSTERS), *map(variation, VARIATIONS)]
IDS = [*CLUSTERS, *VARIATIONS]


@pytest.mark.parametrize("model", ALL, ids=IDS)
def test_a_worker_more_changes_no_line(model) -> None:
    fewer = replace(model, hosts=model.hosts[:-1])
    assert verify_text(model) == verify_text(fewer)
    assert not any(host.address in verify_text(model) for host in model.hosts)


@pytest.mark.parametrize("model", ALL, ids=IDS)
def test_every_listener_is_in_the_port_table_and_serves_a_certificate_of_its_hosts(model) -> None:
    found = yaml.safe_load(verify_text(model))["listeners"]
    leaves = {request.name for request in certificates(model)}
    for host in model.hosts:
        table = {(one.component, one.port) for one in listeners(model, host.pool)}
        for entry in found:
            if set(entry["roles"]) & host.pool.roles:
                assert (entry["component"], entry["port"]) in table
                if entry["certificate"] != "kubelet":
                    assert f"hosts/{host.name}/{entry['certificate']}" in leaves


@pytest.mark.parametrize("model", ALL, ids=IDS)
def test_no_identity_both_may_and_must_not(model) -> None:
    found = identities(model)
    assert len({one.name for one in found}) == len(found)
    for identity in found:
        assert not set(identity.may) & set(identity.may_not), identity.name
        assert len(set(identity.may_not)) == len(identity.may_not), identity.name
        assert (NODE in identity.user) == any(NODE in one.name for one in identity.may)
    strangers = [one for one in found if not any(group.startswith("slipway:admins") for group in one.groups)]
    assert all(any(one.resource == "clusterrolebindings" for one in stranger.may_not) for stranger in strangers)


def test_every_client_certificate_that_is_a_user_has_its_rights_asked() -> None:
    model = cluster("ha")
    asked = {identity.user for identity in identities(model)}
    clients = {
        dict(request.subject)["CN"]
        for request in certificates(model)
        if request.host and request.issuer == "ca" and "client auth" in request.usages
    }
    assert clients <= asked
