"""Where apt and dnf get packages from, by which way, and whose keys they trust.

Every source names the key that signs it: Signed-By for apt (apt's sources.list(5)), gpgkey with gpgcheck=1 for dnf
(dnf.conf(5)), or with repo_gpgcheck=1 where the key signs the metadata alone, as NVIDIA's does
(NVIDIA/nvidia-docker#956). Where the spec's sources stand in for the host's own, those stay as they are and are passed
over: apt and dnf are told of another folder. All of this is in place before the first package is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem
from generator.components.oneshot import effects, oneshot
from generator.components.view import View
from generator.spec.layout import ENV_DIR
from generator.spec.sections_system import PackageSource, Proxy, System

NAME = "package-manager"
PHASE = "package-sources"
KEYS = f"{ENV_DIR}/keys"
APT_SOURCES, APT_ALONE = "/etc/apt/sources.list.d", f"{ENV_DIR}/apt"
APT_CONF = "/etc/apt/apt.conf.d/80-slipway"
DNF_SOURCES, DNF_ALONE = "/etc/yum.repos.d", f"{ENV_DIR}/yum.repos.d"
DNF_CONF, DNF_FRAGMENT = "/etc/dnf/dnf.conf", f"{ENV_DIR}/dnf.conf"
DNF_UNIT = "slipway-dnf-conf"


def _used(system: System) -> bool:
    return bool(system.package_sources or system.replace_package_sources or system.proxy)


def _of_pool(view: View) -> Iterator[HostItem]:
    assert view.pool is not None
    family, system = view.pool.os_family, view.system
    sources = [source for source in system.package_sources if source.family == family]
    for source in sources:
        yield HostFile(_key(source), source.key, NAME, PHASE)
    if family == "debian":
        yield from _apt(sources, system)
    else:
        yield from _dnf(sources, system)


def _key(source: PackageSource) -> str:
    return f"{KEYS}/{source.name}.asc"


def _apt(sources: list[PackageSource], system: System) -> Iterator[HostItem]:
    folder = APT_ALONE if system.replace_package_sources else APT_SOURCES
    for source in sources:
        lines = [
            "Types: deb",
            f"URIs: {' '.join(source.uris)}",
            f"Suites: {' '.join(source.suites)}",
            *([f"Components: {' '.join(source.components)}"] if source.components else []),
            f"Signed-By: {_key(source)}",
        ]
        yield HostFile(f"{folder}/slipway-{source.name}.sources", "\n".join(lines) + "\n", NAME, PHASE)
    words = []
    if system.replace_package_sources:
        words += [
            "// The host's own sources stay where they are; apt reads these alone.",
            'Dir::Etc::SourceList "/dev/null";',
            f'Dir::Etc::SourceParts "{APT_ALONE}";',
        ]
    for scheme, url in (("http", system.proxy.http), ("https", system.proxy.https)):
        if url:
            words.append(f'Acquire::{scheme}::Proxy "{url}";')
            # apt compares whole names: a domain or a range says nothing to it.
            direct = [name for name in system.proxy.no_proxy if not name.startswith(".") and "/" not in name]
            words += [f'Acquire::{scheme}::Proxy::{name} "DIRECT";' for name in direct]
    if words:
        yield HostFile(APT_CONF, "\n".join(words) + "\n", NAME, PHASE)


def _dnf(sources: list[PackageSource], system: System) -> Iterator[HostItem]:
    folder = DNF_ALONE if system.replace_package_sources else DNF_SOURCES
    for source in sources:
        lines = [
            f"[slipway-{source.name}]",
            f"name={source.name}",
            f"baseurl={source.uris[0]}",
            "enabled=1",
            # Where only the metadata are signed, those vouch for each package by its digest.
            *(["gpgcheck=1"] if source.signed == "packages" else ["gpgcheck=0", "repo_gpgcheck=1"]),
            f"gpgkey=file://{_key(source)}",
        ]
        if system.proxy and _host_of(source.uris[0]) in system.proxy.no_proxy:
            lines.append("proxy=_none_")
        yield HostFile(f"{folder}/slipway-{source.name}.repo", "\n".join(lines) + "\n", NAME, PHASE)
    settings = _dnf_settings(system.proxy, alone=system.replace_package_sources)
    if not settings:
        return
    # dnf 4 reads no drop-ins, so a block of ours goes into its one file.
    _, reloads = effects(DNF_UNIT, "reload")
    yield HostFile(DNF_FRAGMENT, "\n".join(settings) + "\n", NAME, PHASE, reloads=reloads)
    yield from oneshot(
        DNF_UNIT,
        component=NAME,
        phase=PHASE,
        script="text-block.sh",
        start=f"put {DNF_CONF} {DNF_FRAGMENT} main",
        stop=f"take-out {DNF_CONF}",
        again="reload",
        description="Slipway's lines in dnf.conf",
        capabilities="CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE",
        writable=("/etc/dnf",),
    )


def _host_of(url: str) -> str:
    """Return the host of a URL, without port and brackets."""
    return re.sub(r":[0-9]+$", "", url.partition("://")[2].partition("/")[0]).strip("[]")


def _dnf_settings(proxy: Proxy, *, alone: bool) -> list[str]:
    return [
        *([f"reposdir={DNF_ALONE}"] if alone else []),
        *([f"proxy={proxy.https or proxy.http}"] if proxy else []),
    ]


COMPONENT = HostSetting(NAME, _used, of_pool=_of_pool)
