"""Numbers of a configuration that we write ourselves: the spec may change each, add none and take none away."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from generator.components.settings import Settings
from generator.errors import RenderError
from generator.spec.model import Cluster


def checked_numbers(cluster: Cluster, component: str, settings: Settings, defaults: Mapping[str, Any]) -> Settings:
    """Return the settings; raises RenderError for a number that is not there, was taken out, or is more than a word."""
    where = f"{cluster.name}: {component}"
    for key, value in settings.config.items():
        if key not in defaults:
            near = difflib.get_close_matches(key, defaults, 1)
            known = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(defaults))}"
            origin = settings.origins.get(("config", key), "")
            raise RenderError(f"{where}: config has no field {key} ({origin}); {known}")
        if not isinstance(value, (int, str)) or isinstance(value, bool) or not str(value).isalnum():
            raise RenderError(f"{where}: config.{key} is neither a number nor a time; write it like {defaults[key]}")
    for key in defaults:
        if key not in settings.config:
            raise RenderError(f"{where}: config.{key} cannot be removed; give it another value")
    return settings
