"""What an operator is told after a renewal: how each kind of leaf comes to where it is used."""

from __future__ import annotations

import pytest

from generator.pki.renew import Renewal, RenewReport
from verbs.certs import print_renewed, renewal_as_plain

HOST = Renewal("hosts/cp1/apiserver", "cp1", "apiserver", 20)
ADDON = Renewal("addons/metrics-server", None, "addons/metrics-server", 20)
ROLLS = "rolls the control plane, one host at a time"
FILLS = "fills the Secrets of the addons and replaces the pods that use them"


@pytest.mark.parametrize(
    ("renewed", "said", "not_said"),
    [((HOST,), ROLLS, "Secrets"), ((ADDON,), FILLS, "rolls"), ((ADDON, HOST), f"nothing restarts; it {FILLS}", "etcd")],
)
def test_hosts_are_rolled_and_pods_are_replaced(
    capsys: pytest.CaptureFixture[str], renewed: tuple[Renewal, ...], said: str, not_said: str
) -> None:
    print_renewed("prod", RenewReport(renewed), dry_run=True)
    text = " ".join(capsys.readouterr().out.split())
    assert said in text and not_said not in text


def test_the_leaf_of_an_addon_has_no_host() -> None:
    assert renewal_as_plain(ADDON)["host"] is None
