"""The faults of project files whose messages are golden: one folder each, with project.yaml and its message.

Where a file loads, the message is its warnings. Waivers are judged on one day, so that the messages stay.
`make golden` (or `python -m tests.ci.error_cases` for these alone) writes the messages anew, prints what changed and
fails where anything did.
"""

import sys
from datetime import date
from pathlib import Path

from generator.ci.project import load_project
from generator.errors import SpecError
from tests.golden.messages import Messages

TODAY = date(2026, 11, 20)
SHOWN = "clusters/prod/projects/hello.yaml"


def given(folder: Path) -> str:
    content = (folder / "project.yaml").read_bytes()
    try:
        project = load_project(content, SHOWN, today=TODAY)
    except SpecError as error:
        return f"{error}\n"
    return "".join(f"warning: {warning}\n" for warning in project.warnings)


PROJECTS = Messages(Path(__file__).parent / "errors", "project.yaml", SHOWN, given)


if __name__ == "__main__":
    sys.exit(1 if PROJECTS.update() else 0)
