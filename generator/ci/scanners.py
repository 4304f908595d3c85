"""The commands that have the cluster's scanner look at the source and at an image, and write what it found as JSON.

All severities are in the report, so that the verdict can count what is below the gate. Neither scanner is told to be
quiet, which would hide why it failed.
"""

from __future__ import annotations

from generator.ci.settings import Settings

_WAIT = "15m"


def source_scan(settings: Settings, folder: str, report: str) -> list[str]:
    """Return the command that looks at the dependencies of a folder."""
    if settings.scanner == "grype":
        return _grype(settings, f"dir:{folder}", report)
    return _trivy(settings, "fs", [folder], report)


def image_scan(settings: Settings, archive: str, report: str) -> list[str]:
    """Return the command that looks at an image in an archive as of `docker save`, for which no daemon is asked."""
    if settings.scanner == "grype":
        return _grype(settings, f"docker-archive:{archive}", report)
    return _trivy(settings, "image", ["--input", archive], report)


def _trivy(settings: Settings, kind: str, target: list[str], report: str) -> list[str]:
    # https://trivy.dev/latest/docs/references/configuration/cli/trivy_filesystem/ The cache on disk is one run's alone,
    # which a second one waits for in vain.
    database = ["--db-repository", settings.database] if settings.database else []
    database += ["--java-db-repository", settings.java_database] if settings.java_database else []
    return [
        "trivy", kind, "--no-progress", "--timeout", _WAIT, "--cache-backend", "memory", "--scanners", "vuln",
        "--format", "json", "--output", report, *database, *target,
    ]  # fmt: skip


def _grype(settings: Settings, target: str, report: str) -> list[str]:
    # https://oss.anchore.com/docs/reference/grype/cli/ and https://oss.anchore.com/docs/reference/grype/configuration/
    # It has no flags for the variables, and no time limit beside that of the stage. --by-cve would take a severity from
    # the NVD in place of whoever wrote the advisory.
    known = ["GRYPE_CHECK_FOR_APP_UPDATE=false"]
    known += [f"GRYPE_DB_UPDATE_URL={settings.database}"] if settings.database else []
    return ["env", *known, "grype", target, "--output", "json", "--file", report]
