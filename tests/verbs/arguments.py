"""The options of a verb, asked without an effect on the verb."""

from __future__ import annotations

import copy
from typing import Any

from invoke import Argument, Task


def arguments_of(task: Task[Any]) -> list[Argument]:
    """Return the options of a verb with their help.

    Invoke takes each help text out of the task while it reads it; the copy keeps the task whole for who asks next.
    """
    once = copy.copy(task)
    once.help = dict(task.help)
    return list(once.get_arguments())
