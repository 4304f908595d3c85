"""Loading: clusters/<c>/cluster.yaml becomes a checked, complete, immutable model, or all its faults at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path as FilePath

from generator.errors import Fault, SpecError, WorkspaceError
from generator.spec.couplings import check_couplings
from generator.spec.faults import Findings, ReadFile
from generator.spec.model import Cluster
from generator.spec.resolving import resolved
from generator.spec.schema import ClusterSpec
from generator.spec.structure import structured
from generator.spec.unquoted_versions import faults_of_unquoted, without_unquoted
from generator.spec.yaml_source import Path, read_document


def load(root: FilePath, cluster: str) -> Cluster:
    """Return a cluster of a workspace.

    `root` is the folder that holds clusters/. Raises WorkspaceError where there is no such cluster, SpecError with
    every fault in its files otherwise.
    """
    folder = root / "clusters" / cluster
    file = f"clusters/{cluster}/cluster.yaml"
    try:
        content = (folder / "cluster.yaml").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise WorkspaceError(f"{cluster}: there is no {file}; run `invoke new`, or name another cluster") from None
    except OSError as error:
        raise SpecError(
            [Fault(file, 0, "", f"cannot be read: {error.strerror}", "correct its owner or mode")]
        ) from None
    return load_text(content, name=cluster, file=file, read_file=lambda path: _read_inside(folder, path))


def load_text(
    content: str | bytes,
    *,
    name: str | None = None,
    file: str = "cluster.yaml",
    files: Mapping[str, str] | None = None,
    read_file: ReadFile | None = None,
) -> Cluster:
    """Return the cluster that a text describes.

    `name` is that of the cluster's folder (None leaves it unchecked), `file` the name of the text in messages, `files`
    or `read_file` what lies beside it. Raises SpecError with every fault.
    """
    beside = files or {}

    def from_mapping(path: str) -> bytes | None:
        return beside[path].encode() if path in beside else None

    document, faults = read_document(content, file)
    try:
        found = structured(document, ClusterSpec, without_unquoted(document))
    except RecursionError:
        raise SpecError([Fault(file, 1, "", "is nested too deeply", "write it flatter")]) from None
    findings = Findings(document, read_file or from_mapping, [*faults, *faults_of_unquoted(document), *found.faults])
    spec = found.model
    if spec is None:
        raise SpecError(findings.faults)
    if name is not None and spec.metadata.name != name:
        what = f"the cluster is called {spec.metadata.name}, but its folder {name}"
        findings.fault(("metadata", "name"), what, "give both the same name")
    before = len(findings.faults)
    cluster = resolved(spec, findings)
    complete = _stands_as_written(found.cuts) and not any(
        fault.path.startswith("hosts") for fault in findings.faults[before:]
    )
    check_couplings(spec, cluster, findings, complete=complete)
    if findings.faults:
        raise SpecError(findings.faults)
    return dataclasses.replace(cluster, warnings=findings.warning_texts())


def _stands_as_written(cuts: tuple[tuple[Path, str], ...]) -> bool:
    """Return whether hosts and pools are those that were written, but for keys that nobody knows."""
    return all(
        kind == "extra_forbidden" for path, kind in cuts if kind == "missing" or path[:1] in {("hosts",), ("pools",)}
    )


def _read_inside(folder: FilePath, path: str) -> bytes | None:
    """Return a file's content, or None where it is missing or a link leads out of the cluster's folder."""
    try:
        real = (folder / path).resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            return None
        return real.read_bytes()
    except (OSError, ValueError, RuntimeError):
        return None
