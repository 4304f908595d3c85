"""The golden cases of the pipeline, byte for byte: what it is told to do, what machines get, what is told of a run.

pipeline/<case>/project.yaml  the project file, whose first line says what the case is about
pipeline/<case>/section.yaml  keys of addons.jenkins for that case alone; may be missing
pipeline/<case>/rendered/     stages-<environment>.json; for virtual machines unit, env-<environment>, sudoers
pipeline/notices/rendered/    what each kind of receiver gets of a release that went well, failed, was aborted
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from generator.ci.machines import machine_files, sudoers
from generator.ci.notices import WEBHOOKS, Event, mail_text, webhook_body
from generator.ci.project import Project, load_project
from generator.ci.settings import settings_from
from generator.ci.stages import stages
from generator.render.tree import read_tree

FOLDER = Path(__file__).parent / "pipeline"
SECTION = {
    "push": {"registry": "registry.example.net/apps", "secret": "registry-push", "pullSecret": "registry-pull"},
    "scanner": {
        "severity": ["CRITICAL"],
        "database": "registry.example.net/mirror/trivy-db",
        "javaDatabase": "registry.example.net/mirror/trivy-java-db",
    },
    "mail": {"host": "mail.example.net", "port": 587, "from": "ci@example.net"},
    "environments": {"dev": {"namespace": "team-dev"}},
}
EVENTS = {
    "success": Event(
        "hello", "dev", "success", "0123456789ab", "Ada Lovelace <ada@example.net>",
        "registry.example.net/apps/hello:0123456789ab-7@sha256:" + "a" * 64, "", 3723, "",
        "https://ci.example.net/job/hello/7/",
    ),
    "failure": Event(
        "billing", "prd", "failure", "0123456789ab", 'Bobby "*_[x](http://evil)`\\ <!channel> & <at id=all>', "",
        "target/billing.jar 0123456789ab-7", 62, "Release", "https://ci.example.net/job/billing/7/",
    ),
    "aborted": Event("hello", "qa", "aborted", link="javascript:alert(1)"),
}  # fmt: skip


@dataclass(frozen=True)
class PipelineCase:
    """One project in the pipeline."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return FOLDER / self.name

    def project(self) -> Project:
        """Return the project that its file describes."""
        file = f"clusters/demo/projects/{self.name}.yaml"
        return load_project((self.folder / "project.yaml").read_bytes(), file)

    def expected(self) -> dict[str, bytes]:
        """Return what was written down."""
        rendered = self.folder / "rendered"
        return read_tree(rendered) if rendered.is_dir() else {}

    def actual(self) -> Mapping[str, bytes]:
        """Return what is to be written down."""
        return {path: text.encode() for path, text in sorted(self._texts().items())}

    def _texts(self) -> dict[str, str]:
        project = self.project()
        own = self.folder / "section.yaml"
        keys = yaml.safe_load(own.read_text()) if own.is_file() else {}
        builder = "buildah" if project.spec.docker.file else "buildkit"
        settings = settings_from({**SECTION, "builder": builder, **keys})
        names = project.environment_names
        found = {
            f"stages-{name}.json": json.dumps(stages(project, name, settings), indent=2) + "\n"
            for name in (names[0], names[-1])
        }
        if project.is_vm:
            for name in names:
                files = machine_files(project, name)
                found |= {files.unit_name: files.unit, f"env-{name}": files.env}
            found["sudoers"] = sudoers(project)
            found["sudoers-unit-is-fixed"] = sudoers(project, unit_is_fixed=True)
        return found


class NoticeCase(PipelineCase):
    """What is told of runs."""

    def _texts(self) -> dict[str, str]:
        found = {
            f"{kind}-{name}.json": json.dumps(json.loads(webhook_body(kind, event)), indent=2, ensure_ascii=False)
            + "\n"
            for kind in WEBHOOKS
            for name, event in EVENTS.items()
        }
        mails = {f"mail-{name}.txt": "\n\n".join(mail_text(event)) for name, event in EVENTS.items()}
        return {**found, **mails}


PIPELINE_CASES = [
    *(PipelineCase(path.parent.name) for path in sorted(FOLDER.glob("*/project.yaml"))),
    NoticeCase("notices"),
]
