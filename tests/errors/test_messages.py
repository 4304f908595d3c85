import re

import pytest

from generator.spec.operating_systems import ENDED
from tests.errors.cases import CLUSTERS

ART4_REMOVED = {
    "insecure-port": "1.24",
    "kubelet-https": "1.22",
    "enable-swagger-ui": "1.25",
    "experimental-encryption-provider-config": "1.24",
    "Initializers": "1.14",
    "logtostderr": "1.26",
}


@pytest.mark.parametrize(("what", "version"), ART4_REMOVED.items())
def test_settings_of_an_older_api_server_name_version_and_replacement(what: str, version: str) -> None:
    lines = [line for line in CLUSTERS.message("api-server-of-an-older-day").splitlines() if what in line]
    assert len(lines) == 1
    assert f" {version} " in lines[0] or f"Kubernetes {version}" in lines[0]
    assert re.search(r"; (take it out|use)\b", lines[0])


@pytest.mark.parametrize("system", ENDED)
def test_every_ended_system_is_refused_with_its_reason_and_the_way_up(system: str) -> None:
    (line,) = (line for line in CLUSTERS.message("ended-systems").splitlines() if f": {system} has ended" in line)
    assert line.endswith(f": {system} has ended: it gets no fixes any more; {ENDED[system]}")
