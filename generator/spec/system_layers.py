"""The section `system` of cluster, pool and host made one: merged, checked again as a whole, and turned into the model.

A thousand hosts without words of their own share the object of their pool, and pools that of the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from generator.formats.merge import Layer, merged
from generator.spec.faults import Findings
from generator.spec.overriding import text_of
from generator.spec.schema_system import PackageSourceSpec, SystemSpec
from generator.spec.sections_system import (
    Hardening,
    HostsFile,
    Journald,
    Kernel,
    Limits,
    Packages,
    PackageSource,
    Proxy,
    System,
    TimeSync,
)
from generator.spec.yaml_source import Path

Layers = tuple[tuple[str, Path, SystemSpec], ...]
"""Who speaks ("cluster", "pool workers"), where in the file, and what is said; weakest first."""


def system_of(layers: Layers, findings: Findings, *, is_node: bool = True) -> System:
    """Return the settings that hold under some layers; `is_node` False where swap is nobody's business by default.

    A key that is not there is a fault, and its source left out.
    """
    result = merged(_layer(name, path, spec, findings) for name, path, spec in layers)
    spec = SystemSpec.model_validate(result.values)
    time, journal, limits, ssh, packages, proxy, hosts_file = (
        spec.time, spec.journald, spec.limits, spec.ssh, spec.packages, spec.proxy, spec.hosts_file,
    )  # fmt: skip
    plain = System()
    return System(
        host_name=spec.host_name or plain.host_name,
        time_zone=spec.time_zone or plain.time_zone,
        swap=spec.swap or ("off" if is_node else "keep"),
        selinux=spec.selinux or plain.selinux,
        time=TimeSync(
            time.mode or "keep", tuple(time.servers or ()), tuple(sorted(set(time.own or ()))), tuple(time.allow or ())
        )
        if time
        else TimeSync(),
        journald=Journald(journal.persistent, journal.max_use or "", journal.max_file_age or "")
        if journal
        else Journald(),
        limits=Limits(limits.files, limits.processes) if limits else Limits(),
        ssh=Hardening(
            bool(ssh.harden),
            ssh.client_alive_interval or Hardening().client_alive_interval,
            ssh.client_alive_count_max or Hardening().client_alive_count_max,
        )
        if ssh
        else Hardening(),
        packages=Packages(bool(packages.base), tuple(sorted(set(packages.extra or ())))) if packages else Packages(),
        kernel=Kernel(tuple(sorted(set(spec.kernel.packages or ()))), spec.kernel.release or "")
        if spec.kernel
        else Kernel(),
        package_sources=_sources(
            spec.package_sources or [], result.origins[("packageSources",)].layer, layers, findings
        )
        if spec.package_sources
        else (),
        replace_package_sources=bool(spec.replace_package_sources),
        proxy=Proxy(proxy.http or "", proxy.https or "", tuple(dict.fromkeys(proxy.no_proxy or ())))
        if proxy
        else Proxy(),
        hosts_file=HostsFile(
            {address: tuple(names) for address, names in sorted((hosts_file.records or {}).items()) if names},
            bool(hosts_file.all_hosts),
        )
        if hosts_file
        else HostsFile(),
        modules=tuple(sorted(set(spec.modules or ()))),
        module_options={name: text for name, text in sorted((spec.module_options or {}).items()) if text},
        written=result.values,
        origins=result.origins,
    )


def serving(system: System, host: str) -> System:
    """Return the settings of one host, which may be among those that serve time."""
    if system.time.mode == "own" and host in system.time.own:
        return replace(system, time=replace(system.time, serves=True))
    return system


def _layer(name: str, path: Path, spec: SystemSpec, findings: Findings) -> Layer:
    values = spec.model_dump(by_alias=True, exclude_unset=True)
    places: dict[tuple[str, ...], str] = {}
    _places(values, (), path, findings, places)
    return Layer(name, values, places)


def _places(
    values: Mapping[str, Any], at: tuple[str, ...], path: Path, findings: Findings, places: dict[tuple[str, ...], str]
) -> None:
    document = findings.document
    for key, value in values.items():
        here = (*at, key)
        places[here] = f"{document.file}:{document.line((*path, *here))}"
        if isinstance(value, Mapping):
            _places(value, here, path, findings, places)


def _sources(
    written: list[PackageSourceSpec], layer: str, layers: Layers, findings: Findings
) -> tuple[PackageSource, ...]:
    """Return the sources in the order of their names, one for each family; faults stand where the list was written."""
    path = next(path for name, path, _ in layers if name == layer)
    if layer != layers[-1][0]:
        # What a weaker level wrote was judged there.
        findings = Findings(findings.document, findings.read_file)
    found: dict[tuple[str, str], PackageSource] = {}
    for index, one in enumerate(written):
        at = (*path, "packageSources", index)
        if one.apt is None and one.dnf is None:
            findings.fault(at, f"{one.name} has neither apt nor dnf", "say where one of them finds it, or both")
            continue
        if any(name == one.name for name, _ in found):
            findings.fault((*at, "name"), f"{one.name} is there twice", "give each source its own name")
            continue
        key = text_of(one.key_file, (*at, "keyFile"), findings)
        if key is None:
            continue
        if "PRIVATE KEY BLOCK" in key:
            findings.fault((*at, "keyFile"), f"{one.key_file} holds a private key", "export the public half alone")
            continue
        if "-----BEGIN PGP PUBLIC KEY BLOCK-----" not in key:
            what = f"{one.key_file} is no ASCII-armored public key"
            findings.fault((*at, "keyFile"), what, "export it with `gpg --armor --export KEY`")
            continue
        if one.apt is not None:
            apt = one.apt
            flat = [suite for suite in apt.suites if suite.endswith("/")]
            if flat and (len(flat) < len(apt.suites) or "components" in apt.model_fields_set):
                # sources.list(5): with an exact path the components must be omitted.
                what = f"{flat[0]} is the path of a flat archive, which has no other suites and no components"
                findings.fault((*at, "apt"), what, "take those out, or the / at its end")
                continue
            found[one.name, "debian"] = PackageSource(
                one.name, "debian", tuple(apt.uris), tuple(apt.suites), () if flat else tuple(apt.components), key
            )
        if one.dnf is not None:
            found[one.name, "redhat"] = PackageSource(
                one.name, "redhat", (one.dnf.base_url,), (), (), key, one.dnf.signed
            )
    return tuple(found[name] for name in sorted(found))
