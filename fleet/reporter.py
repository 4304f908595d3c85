"""How a run tells what it does: plain lines, a live display on a terminal, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from rich.console import Console


class Reporter(Protocol):
    """Hears events in the order in which they happen."""

    def event(self, kind: str, **facts: Any) -> None:
        """Take one event: phase, batch, host, gate, object, note, warning, left, done; facts are plain values."""
        ...


class LineReporter:
    """One line for each event that a person wants to see, with the seconds since the start."""

    def __init__(self, out: TextIO | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out or sys.stderr
        self._now = now
        self._began = now()

    def event(self, kind: str, **facts: Any) -> None:
        """Print the event."""
        text = event_text(kind, facts)
        if text:
            print(f"{self._now() - self._began:7.1f}s  {text}", file=self._out, flush=True)


class TerminalReporter:
    """The same lines in colour, and the gates that are being waited for in a line that changes."""

    def __init__(self, console: Console | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._now = now
        self._began = now()
        self._status = self._console.status("")
        self._waiting: dict[str, str] = {}

    def event(self, kind: str, **facts: Any) -> None:
        """Print the event, or show it as the state of what is waited for."""
        host = str(facts.get("host", ""))
        if kind == "waiting":
            self._waiting[host] = event_text(kind, facts)
            self._status.start()
        elif kind == "left":
            self._waiting.clear()
        elif kind in {"gate", "done", "failed"}:
            self._waiting.pop(host, None)
        if self._waiting:
            self._status.update(" · ".join(list(self._waiting.values())[:3]))
        else:
            self._status.stop()
        if kind == "waiting":
            return
        text = event_text(kind, facts)
        if text:
            style = {"phase": "bold", "warning": "yellow", "failed": "red", "done": "green"}.get(kind, "")
            self._console.print(f"{self._now() - self._began:7.1f}s  {text}", style=style, markup=False, soft_wrap=True)


class JsonReporter:
    """One JSON object a line on standard output, for programs."""

    def __init__(self, out: TextIO | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out or sys.stdout
        self._now = now
        self._began = now()

    def event(self, kind: str, **facts: Any) -> None:
        """Write the event."""
        entry = {"event": kind, "seconds": round(self._now() - self._began, 3), **facts}
        print(json.dumps(entry, default=str), file=self._out, flush=True)


class SilentReporter:
    """Says nothing; for tests and for callers that print the result themselves."""

    def event(self, kind: str, **facts: Any) -> None:
        """Pass the event over."""


def reporter(*, as_json: bool = False) -> Reporter:
    """Return the reporter that fits: JSON on request, a live display on a terminal, else plain lines."""
    if as_json:
        return JsonReporter()
    return TerminalReporter() if sys.stderr.isatty() else LineReporter()


def event_text(kind: str, facts: dict[str, Any]) -> str:
    """Return an event as one line for people, "" for one that only programs want."""
    host = facts.get("host", "")
    match kind:
        case "phase":
            return f"{facts['phase']}: {facts.get('title') or ''}".rstrip(": ")
        case "batch":
            return f"  {facts['phase']}: {facts['hosts']}"
        case "host":
            return f"  {host}: {facts['text']}"
        case "waiting":
            return f"{host or 'cluster'}: waiting for {facts['gate']}: {facts['reason']}"
        case "gate":
            return f"  {host or 'cluster'}: gate {facts['gate']} open after {facts['took']:.1f} s"
        case "object":
            return f"  {facts['action']} {facts['name']}"
        case "note" | "warning" | "done" | "failed":
            return str(facts["text"]) if kind == "done" else f"{kind}: {facts['text']}"
    return ""
