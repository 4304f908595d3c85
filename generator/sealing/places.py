"""Where sealed secrets lie in a cluster's folder, and how messages name paths."""

from __future__ import annotations

from pathlib import Path


def shown(path: Path) -> str:
    """Return a path as messages write it: from clusters/ on where it lies in a workspace, else as it is."""
    parts = path.parts
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "clusters":
            return "/".join(parts[index:])
    return str(path)


def sealed_path(cluster_dir: Path, secret: str) -> Path:
    """Return where a secret lies sealed: "pki/<certificate>" in pki/, any other name below secrets/."""
    if secret.startswith("pki/"):
        return cluster_dir / f"{secret}.key.age"
    return cluster_dir / "secrets" / f"{secret}.age"
