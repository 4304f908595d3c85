"""The peers, each in a virtual environment of its own in the cache, at the versions of its lock file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.measuring import BenchError
from lab.cache import cache_root

_HERE = Path(__file__).parent


def programs(peer: str) -> Path:
    """Return the folder of a peer's programs, made from its lock file unless the cache has it."""
    lock = _HERE / f"requirements-{peer}.lock"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(lock.read_bytes() + version.encode()).hexdigest()[:12]
    ready = cache_root() / "bench" / f"{peer}-{digest}"
    if not (ready / "made").is_file():
        # Programs of a virtual environment name its path, so it is made in its place and marked when it is whole.
        _call([sys.executable, "-m", "venv", "--clear", ready])
        pip: list[str | Path] = [ready / "bin" / "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
        _call([*pip, "--require-hashes", "-r", lock])
        (ready / "made").touch()
    return ready / "bin"


def version(peer: str) -> str:
    """Return a peer's name and version, from its lock file."""
    package = {"ansible": "ansible-core"}.get(peer, peer)
    for line in (_HERE / f"requirements-{peer}.lock").read_text().splitlines():
        name, found, rest = line.partition("==")
        if found and name == package:
            return f"{package} {rest.split()[0]}"
    raise BenchError(f"requirements-{peer}.lock does not name {package}; run `make bench-lock`")


def work_folder(name: str) -> Path:
    """Return a folder in the cache for what a benchmark makes anew at each run."""
    path = cache_root() / "bench" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def _call(argv: list[str | Path]) -> None:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"`{argv[0]} …` failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
