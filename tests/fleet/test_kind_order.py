"""Deletes go in the reverse of the order in which render has objects applied."""

from __future__ import annotations

from fleet import kind_order
from fleet.kube import Ref


def test_what_nobody_refers_to_goes_first() -> None:
    refs = [Ref("v1", kind, "x", "a") for kind in ("Secret", "Widget", "Deployment", "Namespace", "ServiceAccount")]
    ordered = [ref.kind for ref in sorted(refs, key=kind_order.deletion_order)]
    assert ordered == ["Widget", "Deployment", "Secret", "ServiceAccount", "Namespace"]
