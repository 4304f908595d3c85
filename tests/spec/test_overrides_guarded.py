"""Config fields that guard a kubelet: other values are taken, with a warning that names the field and the harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from generator.spec import load_text
from generator.spec.flag_policy import GUARDED_CONFIG

MINIMAL = (Path(__file__).parents[1] / "golden" / "clusters" / "minimal" / "cluster.yaml").read_text()


def warnings_of(config: dict[str, object]) -> str:
    spec = yaml.safe_load(MINIMAL)
    spec.setdefault("components", {}).setdefault("kubelet", {})["config"] = config
    return "\n".join(load_text(yaml.safe_dump(spec)).warnings)


@pytest.mark.parametrize("path", GUARDED_CONFIG["kubelet"], ids=".".join)
def test_another_value_of_a_guard_is_warned_of(path: tuple[str, ...]) -> None:
    safe, harm = GUARDED_CONFIG["kubelet"][path]
    other: object = "AlwaysAllow" if safe == "Webhook" else 10255 if path == ("readOnlyPort",) else not safe
    for value, warned in ((other, True), (safe, False), (None, True)):
        config: object = value
        for step in reversed(path):
            config = {step: config}
        assert isinstance(config, dict)
        assert (harm in warnings_of(config)) == warned, value
