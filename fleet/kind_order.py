"""In which order kinds of object are deleted: the reverse of the one in which they are applied.

What nobody else refers to goes first, so that no pod loses its account or its configuration while it still runs.
"""

from __future__ import annotations

from fleet.kube import Ref
from generator.formats.kind_order import place_of_kind


def deletion_order(ref: Ref) -> tuple[int, str, str, str]:
    """Return a sort key: kinds that are applied last come first, those that are not listed before them."""
    return -place_of_kind(ref.kind), ref.kind, ref.namespace, ref.name
