"""The faults whose messages are golden: one folder each, with cluster.yaml and the message that it must give.

`make golden` (or `python -m tests.errors.cases` for these alone) writes the messages anew, prints what changed and
fails where anything did.
"""

import sys
from pathlib import Path

from generator.errors import SpecError
from generator.spec import load_text
from tests.golden.messages import Messages

SHOWN = "clusters/prod/cluster.yaml"


def given(folder: Path) -> str:
    def beside(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    try:
        load_text((folder / "cluster.yaml").read_bytes(), name="prod", file=SHOWN, read_file=beside)
    except SpecError as error:
        return f"{error}\n"
    return ""


CLUSTERS = Messages(Path(__file__).parent, "cluster.yaml", SHOWN, given)


if __name__ == "__main__":
    sys.exit(1 if CLUSTERS.update() else 0)
