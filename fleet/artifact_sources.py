"""What a mirror or a published checksum file says about an artifact, read over HTTP with TLS verified."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from generator.errors import ArtifactError

_BLOCK = 1 << 20
_TIMEOUT = 60
_AT_ONCE = 4
_LARGEST_CHECKSUM_FILE = 1 << 20
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def digests_and_sizes(urls: list[str]) -> list[tuple[str, int]]:
    """Return SHA-256 in hex and size in bytes of what lies at each URL, read whole, a few at a time.

    Raises ArtifactError for the first that cannot be read.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_digest_and_size, urls))


def published_digests(files: list[tuple[str, str]]) -> list[str]:
    """Return the SHA-256 that published checksum files state: for each pair of checksum URL and file name, one.

    A checksum file holds the digest alone or lines of digest and name (sha256sum(1)). Raises ArtifactError where it
    cannot be read or does not name the file.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda pair: _published(*pair), files))


def stated_digest(text: str, name: str) -> str | None:
    """Return the digest that the text of a checksum file states for a file name, None where it states none."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and len(lines[0]) == 1 and _SHA256.fullmatch(lines[0][0]):
        return lines[0][0].lower()
    for words in lines:
        if len(words) == 2 and _SHA256.fullmatch(words[0]) and words[1].removeprefix("*").rpartition("/")[2] == name:
            return words[0].lower()
    return None


def _digest_and_size(url: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with _opened(url) as answer:
        while block := answer.read(_BLOCK):
            digest.update(block)
            size += len(block)
        expected = answer.headers.get("Content-Length")
    if expected is not None and int(expected) != size:
        raise ArtifactError(f"{url}: it ended after {size} of {expected} bytes; run again")
    return digest.hexdigest(), size


def _published(url: str, name: str) -> str:
    with _opened(url) as answer:
        text = answer.read(_LARGEST_CHECKSUM_FILE).decode("utf-8", "replace")
    found = stated_digest(text, name)
    if found is None:
        raise ArtifactError(f"{url}: it states no SHA-256 for {name}; lock from a mirror or a directory instead")
    return found


@contextmanager
def _opened(url: str) -> Iterator[Any]:
    if urlsplit(url).scheme not in {"https", "http"}:
        raise ArtifactError(f"{url}: only http and https are read; name a directory for local files")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        raise ArtifactError(
            f"{url}: it answers {error.code} {error.reason}; put the file there or name another source"
        ) from None
    except (urllib.error.URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ArtifactError(f"{url}: it cannot be read ({reason}); name another mirror or a directory") from None
