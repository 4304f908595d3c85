"""One item against what the host has: whether it is there as it is to be, and what is to be done about it."""

from __future__ import annotations

from fleet.items import Item
from fleet.state import HostState
from fleet.work import Change


def has_content(item: Item, state: HostState) -> bool:
    """Return whether a path has its item's content: by digest, or for secrets and binaries by our record."""
    facts = state.paths.get(item.path)
    if facts is None or facts.type != "file":
        return False
    if item.kind == "file" and not item.is_secret and facts.sha256:
        return facts.sha256 == item.content_id
    record = state.owned.get(item.key)
    return record is not None and record.id == item.content_id and facts.as_installed is True


def change_of(item: Item, state: HostState) -> Change | None:
    """Return what is to be done about one item, None where it is as it is to be; units: see `fleet.owed`."""

    def change(action: str, detail: str = "") -> Change:
        return Change(item.key, item.kind, action, item.component, detail)

    facts = state.paths.get(item.path) if item.path else None
    match item.kind:
        case "package":
            return None if item.name in state.packages else change("create")
        case "user":
            groups = state.users.get(item.name)
            if groups is None:
                return change("create")
            missing = sorted(set(item.groups) - groups)
            return change("change", f"groups {', '.join(missing)} added") if missing and groups != {"-"} else None
        case "link":
            if facts is None:
                return change("create", f"-> {item.target}")
            if facts.type != "link" or facts.target != item.target:
                return change("change", f"-> {item.target} (was {facts.target or facts.type})")
            return None
        case "directory":
            if facts is None:
                return change("create")
            if facts.type not in {"directory", "link"}:
                return change("change", f"is a {facts.type}")
            return None if facts.type == "link" else _mode_change(item, state, change("mode"))
        case "file" | "secret" | "binary":
            if facts is None:
                return change("create", _version(item))
            if not has_content(item, state):
                return change("change", _version(item) or _secret_words(item, state))
            return _mode_change(item, state, change("mode"))
        case _:
            return None


def _mode_change(item: Item, state: HostState, change: Change) -> Change | None:
    facts = state.paths[item.path]
    found = f"{facts.mode} {facts.owner}:{facts.group}"
    wanted = f"{item.mode:04o} {item.owner}:{item.group}"
    return (
        None if found == wanted else Change(change.key, change.kind, "mode", change.component, f"{found} -> {wanted}")
    )


def _version(item: Item) -> str:
    return f"{item.artifact} {item.version}" if item.kind == "binary" else ""


def _secret_words(item: Item, state: HostState) -> str:
    if not item.is_secret:
        return ""
    record = state.owned.get(item.key)
    if record is None or record.id == item.content_id:
        return "secret; what is there is not what we installed"
    return f"secret; id {record.id} -> {item.content_id}"
