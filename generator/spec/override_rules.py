"""Rules for overrides: components, flags, units and config fields that exist at the version of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.spec import flag_policy, flag_tables
from generator.spec.faults import Findings
from generator.spec.flag_tables import Knowledge
from generator.spec.model import Cluster, Override
from generator.spec.structure import nearest, suggestion
from generator.spec.versions import minor_of, minor_text
from generator.spec.yaml_source import Path

_UNIT_SECTIONS = ("Unit", "Service", "Install", "Socket", "Path", "Timer")
_OWNED_UNIT_KEYS = {
    "ExecStart": "set flags",
    "User": "keys belong to that user",
    "Type": "gates rest on it",
    "EnvironmentFile": "facts of the host come from it",
}
# A drop-in adds to these; an override would replace what is there.
_OWN_ENVIRONMENT = {"etcd", "bridge", "csr-approver"}
_OWNED_BY_ETCD = {"AssertPathExists": "it keeps an emptied member from starting"}


def check_overrides(cluster: Cluster, findings: Findings) -> None:
    """Check the overrides of the cluster, of every pool and of every host."""
    _layer(cluster, cluster.components, ("components",), None, findings)
    for pool in cluster.pools.values():
        _layer(cluster, pool.components, ("pools", pool.name, "components"), pool.roles, findings)
    seen: set[int] = set()
    for host in cluster.hosts:
        if host.components and id(host.components) not in seen:
            seen.add(id(host.components))
            path = (*findings.host_paths[host.name], "components")
            _layer(cluster, host.components, path, host.pool.roles, findings)


def _layer(
    cluster: Cluster, layer: Mapping[str, Override], path: Path, roles: frozenset[str] | None, findings: Findings
) -> None:
    for name, override in layer.items():
        here = (*path, name)
        shape = flag_policy.OVERRIDABLE.get(name)
        if shape is None:
            known = flag_policy.OVERRIDABLE
            findings.fault(
                here,
                "is not a component that can be overridden",
                suggestion(name, known, f"known are: {', '.join(known)}"),
            )
            continue
        if roles is not None and not roles & flag_policy.ROLES[name]:
            needed = " or ".join(sorted(flag_policy.ROLES[name]))
            findings.fault(
                here, f"{name} does not run here", f"move it to a pool with the role {needed}, or take it out"
            )
        if name == "bridge" and cluster.network.plugin != "bridge":
            findings.fault(here, f"bridge does not run here: network.plugin is {cluster.network.plugin}", "take it out")
        given = {
            "flags": override.flags,
            "unsafeFlags": override.unsafe_flags,
            "unit": override.unit,
            "config": override.config,
        }
        for part, values in given.items():
            if values and part.replace("unsafeFlags", "flags") not in shape:
                findings.fault((*here, part), f"{name} takes no {part}", f"it takes {' and '.join(sorted(shape))}")
            elif part in {"flags", "unsafeFlags"}:
                _flags(cluster, name, values, (*here, part), findings)
        _unit(name, override.unit, (*here, "unit"), findings)
        _config(cluster, name, override.config, (*here, "config"), findings)


def _flags(cluster: Cluster, component: str, values: Mapping[str, Any], path: Path, findings: Findings) -> None:
    versions = cluster.versions
    minor = minor_text(minor_of(versions.etcd)) if component == "etcd" else versions.minor_text
    for flag, value in values.items():
        here = (*path, flag)
        if flag.startswith("-"):
            findings.fault(here, "has dashes", f"write {flag.lstrip('-')}")
            continue
        if "=" in flag or not flag:
            findings.fault(here, "is not the name of a flag", "write name: value")
            continue
        owned = flag_policy.OWNED.get(component, {})
        if path[-1] == "flags" and flag in owned:
            what = f"--{flag} of {component} belongs to Slipway"
            findings.fault(here, what, f"{owned[flag]}; or write it under unsafeFlags")
            continue
        fits = _value(value, here, findings)
        if _exists(component, minor, flag, here, findings) and fits:
            _content(component, minor, flag, value, here, findings)


def _value(value: Any, path: Path, findings: Findings) -> bool:
    """Check the shape of a flag's value; returns False where it has none that a flag can have."""
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, (dict, list)) or (part is None and parts is value) for part in parts):
        todo = "write text, a number, true, false, a list of those, or null"
        if isinstance(value, dict):
            todo = "write a list of name=value"
        findings.fault(path, "is not a value that a flag can take", todo)
        return False
    if any(isinstance(part, str) and any(char in part for char in "\n\r\0") for part in parts):
        findings.fault(path, "holds a line break", "write it on one line")
    return True


def _exists(component: str, minor: str, flag: str, path: Path, findings: Findings) -> bool:
    """Check that a version knows a flag; returns False where it does not."""
    name = "etcd" if component == "etcd" else "Kubernetes"
    found = flag_tables.known(component, minor, flag)
    gone = flag_tables.removal(component, flag)
    last = flag_tables.last_measured_with(component, flag)
    if found is Knowledge.UNKNOWN:
        if gone is not None and gone.since and flag_tables.minor_key(gone.since) <= flag_tables.minor_key(minor):
            findings.fault(
                path, f"--{flag} was removed from {component} in {name} {gone.since} ({gone.source})", gone.instead
            )
        elif last and flag_tables.minor_key(last) < flag_tables.minor_key(minor):
            without = flag_tables.first_measured_without(component, flag)
            span = f"{name} {last} was the last measured version with it, {without} has it no more"
            what = f"--{flag} was removed from {component}: {span}"
            findings.fault(path, what, gone.instead if gone is not None else "take it out")
        elif last:
            first = flag_tables.first_measured_with(component, flag)
            findings.fault(
                path,
                f"--{flag} of {component} is newer than {name} {minor}: {first} is the first measured version with it",
                "take it out, or upgrade",
            )
        else:
            near = nearest(flag, flag_tables.flags_of(component, minor))
            findings.fault(
                path,
                f"--{flag} is not a flag of {component} {minor}",
                f"did you mean {near}?" if near else "take it out",
            )
        return False
    if found is Knowledge.UNPROVEN and not last:
        near = nearest(flag, flag_tables.flags_of(component, minor))
        todo = f"did you mean {near}?" if near else "check it against --help"
        findings.warn(path, f"whether {component} {minor} knows --{flag} is unproven", todo)
        return True
    if found is Knowledge.UNPROVEN:
        todo = gone.instead if gone is not None else "check it against --help of that version"
        findings.warn(path, f"whether {component} {minor} knows --{flag} is unproven", todo)
        return True
    old = flag_tables.deprecation(component, minor, flag)
    if old is not None:
        findings.warn(
            path, f"--{flag} of {component} is deprecated since {name} {old.since} ({old.source})", old.instead
        )
    elif found is Knowledge.HIDDEN:
        findings.warn(
            path, f"--{flag} of {component} is deprecated: {minor} takes it, but no longer shows it", "take it out"
        )
    return True


def _content(component: str, minor: str, flag: str, value: Any, path: Path, findings: Findings) -> None:
    switched_off = flag == "enable-admission-plugins" and value is None
    if switched_off or (flag == "disable-admission-plugins" and "NodeRestriction" in str(value)):
        what = "without NodeRestriction a node may change other nodes and their pods"
        findings.warn(path, what, "leave NodeRestriction on")
    if component == "etcd" or value is None:
        return
    words = [str(word).strip() for word in (value if isinstance(value, list) else str(value).split(","))]
    if flag in {"enable-admission-plugins", "disable-admission-plugins", "admission-control"}:
        for word in words:
            gone = flag_tables.removed_plugin(word, minor)
            if gone is not None:
                what = f"the admission plugin {word} was removed in Kubernetes {gone.since} ({gone.source})"
                findings.fault(path, what, gone.instead)
    if flag == "feature-gates":
        for word in words:
            gate, equals, state = word.partition("=")
            if not equals or state.lower() not in {"true", "false"}:
                findings.fault(path, f"{word!r} is not a feature gate with its state", "write Name=true or Name=false")
            _gate(gate, minor, path, findings)


def _gate(gate: str, minor: str, path: Path, findings: Findings) -> None:
    gone = flag_tables.removed_gate(gate, minor)
    if gone is not None:
        findings.fault(
            path, f"the feature gate {gate} was removed in Kubernetes {gone.since} ({gone.source})", gone.instead
        )


def _owned_unit_keys(component: str) -> Mapping[str, str]:
    owned = dict(_OWNED_UNIT_KEYS)
    if component in _OWN_ENVIRONMENT:
        owned["Environment"] = "the program rests on what it holds"
    return owned | _OWNED_BY_ETCD if component == "etcd" else owned


def _unit(component: str, sections: Mapping[str, Mapping[str, Any]], path: Path, findings: Findings) -> None:
    owned = _owned_unit_keys(component)
    for section, keys in sections.items():
        here = (*path, section)
        if section not in _UNIT_SECTIONS and not section.startswith("X-"):
            todo = suggestion(section, _UNIT_SECTIONS, f"known are: {', '.join(_UNIT_SECTIONS)}")
            findings.fault(here, "is not a section of a unit", todo)
            continue
        for key, value in keys.items():
            at = (*here, key)
            if key in owned:
                findings.fault(at, f"{key}= belongs to Slipway: {owned[key]}", "use a drop-in under files")
            elif not key.isascii() or not key.replace("-", "").isalnum():
                findings.fault(at, "is not a key of a unit", "write a name as in systemd.unit(5)")
            parts = value if isinstance(value, list) else [value]
            if any(isinstance(part, (dict, list)) for part in parts):
                findings.fault(
                    at,
                    "is not a value that a unit can take",
                    "write text, a number, true, false, a list of those, or null",
                )
            elif any(isinstance(part, str) and "\n" in part for part in parts):
                findings.fault(at, "holds a line break", "write a list: one entry for each line")


def _config(cluster: Cluster, component: str, config: Mapping[str, Any], path: Path, findings: Findings) -> None:
    for field, instead in flag_policy.OWNED_CONFIG.get(component, {}).items():
        if field in config:
            findings.fault((*path, field), f"{field} must agree with other files", instead)
    for guarded, (safe, harm) in flag_policy.GUARDED_CONFIG.get(component, {}).items():
        found: Any = config
        for step in guarded:
            found = found.get(step, safe) if isinstance(found, Mapping) else safe
        if found != safe:
            findings.warn((*path, *guarded), f"a value other than {safe!r} {harm}", "take it out")
    for field in ("apiVersion", "kind"):
        if field in config and component != "containerd":
            findings.fault((*path, field), "follows the Kubernetes minor", "take it out")
    gates = config.get("featureGates")
    if isinstance(gates, Mapping):
        for gate in gates:
            _gate(str(gate), cluster.versions.minor_text, (*path, "featureGates", str(gate)), findings)
