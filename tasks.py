"""The verbs of this workspace; `invoke --list` shows them. A workspace of your own has the same two lines."""

from verbs import namespace  # noqa: F401
