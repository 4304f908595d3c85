"""No plain private key, and no path or host of one machine, in anything that git tracks."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKER = re.compile(
    rb"-----BEGIN ((RSA|EC|DSA|OPENSSH|ENCRYPTED) )?PRIVATE" + rb" KEY-----|AGE-SECRET" + rb"-KEY-1[0-9A-Z]"
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]


def test_git_tracks_no_plain_private_key() -> None:
    files = [path for path in tracked() if path.is_file()]
    assert len(files) > 20
    assert not [str(path) for path in files if MARKER.search(path.read_bytes())]


def test_the_marker_is_found_where_it_stands() -> None:
    assert MARKER.search(b"x\n-----BEGIN EC PRIVATE" + b" KEY-----\n")
    assert MARKER.search(b"AGE-SECRET" + b"-KEY-1QQQQ")
