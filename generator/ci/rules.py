"""Rules between the fields of a project file, each with its reason and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from generator.ci.found import Found
from generator.ci.languages import LANGUAGES
from generator.ci.notices import WEBHOOKS, signing
from generator.ci.rules_environments import check_environments
from generator.ci.schema import NotifySection, ProjectSpec
from generator.errors import Fault
from generator.spec.structure import suggestion
from generator.spec.yaml_source import Document, Path

WARN_BEFORE = timedelta(days=14)
"""How long before its end a waiver is warned about."""

_UNIT_SECTIONS = ("Unit", "Service", "Install")
_OWNED_UNIT_KEYS = {
    "ExecStart": "run.command says it",
    "User": "vm.user says it",
    "Group": "vm.user says it",
    "WorkingDirectory": "releases are swapped below vm.directory",
    "EnvironmentFile": "run.env says it",
    "Environment": "run.env says it",
}


_RELEASE = re.compile(r"[a-z0-9-]{1,53}")
"""What helm takes as the name of a release: https://github.com/helm/helm/blob/v3.17.3/pkg/chartutil/validate_name.go."""

_SYSTEM = frozenset({
    "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local",
    "/usr/local/bin", "/usr/local/lib",
})  # fmt: skip
"""Folders that are not empty in any image with a system in it; over what is writable an empty folder is laid."""

_OURS = {"/app": "the program", "/venv": "what pip installed"}
"""Folders that are not empty in an image of our making."""

_SECRET_WORDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY", "API_KEY", "ACCESS_KEY", "CREDENTIAL")


def check_project(
    spec: ProjectSpec, document: Document, cuts: tuple[Path, ...], today: date | None
) -> tuple[list[Fault], tuple[str, ...]]:
    """Return the faults between the fields of a project and its warnings, in the order of the file.

    `cuts` are the paths that had faults of their own and were taken out before.
    """
    found = Found(document, tuple(cut[:-1] if cut and isinstance(cut[-1], int) else cut for cut in cuts))
    _health(spec, found)
    _language(spec, found)
    if spec.deploy == "vm":
        _virtual_machines(spec, found)
    else:
        _containers(spec, found)
        _fastcgi(spec, found)
        _image(spec, found)
    check_environments(spec, found)
    _notifications(spec, found)
    _waivers(spec, found, today)
    _lists_without_doubles(spec, found)
    _secrets_in_plain_sight(spec, found)
    return found.faults, tuple(dict.fromkeys(text for _, text in sorted(found.warnings)))


def _health(spec: ProjectSpec, found: Found) -> None:
    health = spec.health
    said = [
        key
        for key, given in (("path", health.path), ("command", health.command), ("tcp", health.tcp or None))
        if given is not None
    ]
    if len(said) > 1:
        found.fault(("health", said[1]), f"stands beside {said[0]}, and there is one health check", "keep one of them")
    elif said == ["command"] and health.port is not None:
        found.fault(("health", "port"), "has no meaning for a command", "take it out")
    if spec.language == "php" and spec.run.command is None and not spec.docker.file and health.path is not None:
        found.fault(
            ("health", "path"),
            "asks by HTTP, and php-fpm, which runs without run.command, speaks FastCGI",
            "use tcp: true, or give run.command a server that speaks HTTP",
        )


def _language(spec: ProjectSpec, found: Found) -> None:
    ours = LANGUAGES[spec.language]
    own_image = spec.deploy == "container" and spec.docker.file is not None
    if spec.run.command is None and not ours.run and not own_image:
        found.fault(
            ("run", "command"),
            f"is missing, and nothing says how a program in {ours.title} starts",
            f"write it, like {ours.run_example}",
        )
    # A command of one's own makes what only it knows.
    if spec.build.command is not None and spec.build.artifact is None and ours.artifact is not None and not own_image:
        found.fault(
            ("build", "artifact"), "is missing beside a build.command", "name what the command makes, like bin/hello"
        )


def _containers(spec: ProjectSpec, found: Found) -> None:
    for name, section in spec.environments.items():
        if section.hosts:
            at: Path = ("environments", name, "hosts")
            found.fault(at, "names virtual machines, but deploy is container", "use deploy: vm, or take it out")
        if section.tls is not None and section.domain is None:
            found.fault(("environments", name, "tls"), "has no domain to encrypt", "add domain, or take it out")
        if section.ingress_class is not None and section.domain is None:
            found.fault(("environments", name, "ingressClass"), "has no domain to serve", "add domain, or take it out")
    if found.stands(("vm",)):
        found.fault(("vm",), "is for virtual machines, but deploy is container", "use deploy: vm, or take it out")
    _release_name(spec, found)
    hidden = {**dict.fromkeys(_SYSTEM, "the system"), **({} if spec.docker.file else _OURS)}
    for index, folder in enumerate(spec.run.writable):
        if folder in hidden:
            found.fault(
                ("run", "writable", index),
                f"an empty folder at {folder} would hide {hidden[folder]}",
                "name a folder of its own, like /app/cache or /var/lib/app",
            )


def _release_name(spec: ProjectSpec, found: Found) -> None:
    name = spec.metadata.name
    if not _RELEASE.fullmatch(name):
        found.fault(
            ("metadata", "name"), f"has {len(name)} characters, and a release of helm has 53 at most", "shorten it"
        )
    elif not name[0].isalpha() and spec.chart.path is None:
        found.fault(("metadata", "name"), "is that of the Service too, which begins with a letter", "put one first")


def _fastcgi(spec: ProjectSpec, found: Found) -> None:
    """Warn where an Ingress asks php-fpm; annotations that make it speak FastCGI come by a chart or values alone."""
    runs_fpm = spec.language == "php" and spec.run.command is None and spec.docker.file is None
    if not runs_fpm or spec.chart.path is not None or spec.chart.values is not None:
        return
    for name, section in spec.environments.items():
        if section.domain is not None:
            found.warn(
                ("environments", name, "domain"),
                "is asked by HTTP, and php-fpm, which runs without run.command, speaks FastCGI",
                "give run.command a server that speaks HTTP, or put what your ingress needs for it into chart.values",
            )


def _image(spec: ProjectSpec, found: Found) -> None:
    docker = spec.docker
    if docker.file is not None:
        beside = (
            (("build", "image"), spec.build.image), (("build", "command"), spec.build.command),
            (("build", "artifact"), spec.build.artifact), (("run", "image"), spec.run.image),
            (("docker", "healthcheck"), docker.healthcheck or None),
        )  # fmt: skip
        for path, value in beside:
            if value is not None:
                found.fault(
                    path, f"has no effect: the image is made by {docker.file}", "say it there, or drop docker.file"
                )
        return
    asks = LANGUAGES[spec.language].asks
    if docker.healthcheck and spec.health.command is None and not asks:
        found.fault(
            ("docker", "healthcheck"),
            f"needs a program in the image that asks, and that of {spec.language} has none",
            "write a health.command that the program itself answers, or leave it to Kubernetes",
        )


def _virtual_machines(spec: ProjectSpec, found: Found) -> None:
    for name, section in spec.environments.items():
        at: Path = ("environments", name)
        if not section.hosts:
            found.fault((*at, "hosts"), "is missing, and deploy is vm", "name the virtual machines to deploy to")
        for key in ("tls", "ingressClass", "resources", "scaling", "secrets"):
            if found.stands((*at, key)):
                found.fault((*at, key), "is for containers, but deploy is vm", "take it out")
    for path in ((("docker",)), ("chart",), ("resources",), ("scaling",), ("run", "secrets"), ("run", "image"),
                 ("run", "user"), ("build", "image")):  # fmt: skip
        if found.stands(path):
            instead = "use vm.user, or take it out" if path == ("run", "user") else "take it out"
            found.fault(path, "is for containers, but deploy is vm", instead)
    brings = LANGUAGES[spec.language].machine_build
    if brings is not None and spec.build.command is None:
        found.warn(
            ("build", "command"),
            "is missing, so nothing brings the packages of the program to the machines",
            f"write what fetches them into the source, like {brings}",
        )
    for section_name, keys in spec.vm.unit.items():
        _unit_section(section_name, keys, found)


def _unit_section(section: str, keys: dict[str, object], found: Found) -> None:
    at: Path = ("vm", "unit", section)
    if section not in _UNIT_SECTIONS:
        todo = suggestion(section, _UNIT_SECTIONS, f"known are: {', '.join(_UNIT_SECTIONS)}")
        found.fault(at, "is not a section of the unit of a service", todo)
        return
    for key, value in keys.items():
        parts = value if isinstance(value, list) else [value]
        if key in _OWNED_UNIT_KEYS:
            found.fault((*at, key), f"{key}= belongs to Slipway: {_OWNED_UNIT_KEYS[key]}", "take it out")
        elif not key.isascii() or not key.isalnum():
            found.fault((*at, key), "is not a key of a unit", "write a name as in systemd.unit(5)")
        elif any(not isinstance(part, (str, int, bool)) for part in parts):
            found.fault(
                (*at, key), "is not a value that a unit can take", "write text, a number, true, false or a list"
            )
        elif any(isinstance(part, str) and not part.isprintable() for part in parts):
            found.fault((*at, key), "holds a line break or control character", "write a list: one entry for each line")


def _notifications(spec: ProjectSpec, found: Found) -> None:
    for index, one in enumerate(spec.notify):
        at: Path = ("notify", index)
        if one.kind == "mail":
            if not one.to:
                found.fault((*at, "to"), "is missing", "name the addresses that get the mail")
        else:
            if one.secret is None:
                found.fault((*at, "secret"), "is missing", "name the Jenkins credential that holds the webhook's URL")
            if one.to:
                found.fault((*at, "to"), f"is for mail, and this is {one.kind}", "take it out")
        if one.signing_secret is not None:
            _signature(one, (*at, "signingSecret"), found)


def _signature(one: NotifySection, at: Path, found: Found) -> None:
    signers = [kind for kind in WEBHOOKS if signing(kind) is not None]
    if one.kind not in signers:
        found.fault(at, f"is for {' and '.join(signers)}, and this is {one.kind}", "take it out")
    elif one.signing_secret == one.secret:
        found.fault(at, "is the credential that holds the URL", "name another one, which holds the secret alone")


def _waivers(spec: ProjectSpec, found: Found, today: date | None) -> None:
    for index, waiver in enumerate(spec.waivers):
        if today is None:
            continue
        at: Path = ("waivers", index, "until")
        until = date.fromisoformat(waiver.until)
        if until < today:
            found.fault(
                at,
                f"the waiver of {waiver.id} ended on {until}, and today is {today}",
                "mend the vulnerability and take the waiver out, or decide anew until when it holds",
            )
        elif until - today <= WARN_BEFORE:
            days = (until - today).days
            left = "today" if days == 0 else "in one day" if days == 1 else f"in {days} days"
            found.warn(at, f"the waiver of {waiver.id} ends {left}", "mend the vulnerability before it stops runs")


def _secrets_in_plain_sight(spec: ProjectSpec, found: Found) -> None:
    places: list[tuple[Path, Mapping[str, str | None]]] = [(("run", "env"), spec.run.env)]
    places += [(("environments", name, "env"), section.env) for name, section in spec.environments.items()]
    for path, variables in places:
        for variable, value in variables.items():
            # A path or an address of a secret is none.
            if value and "/" not in value and any(word in variable.upper() for word in _SECRET_WORDS):
                found.warn(
                    (*path, variable),
                    "reads like a secret, and this file is read by everybody who reviews it",
                    "put it into a Secret of the namespace and name that under secrets",
                )


def _lists_without_doubles(spec: ProjectSpec, found: Found) -> None:
    for path, entries in _lists(spec):
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            if entry in seen:
                found.fault((*path, index), f"{entry} is listed twice", "keep it once")
            seen.add(entry)


def _lists(spec: ProjectSpec) -> Iterator[tuple[Path, list[str]]]:
    yield ("run", "writable"), list(spec.run.writable)
    yield ("run", "secrets"), list(spec.run.secrets)
    yield ("waivers",), [waiver.id for waiver in spec.waivers]
    for name, section in spec.environments.items():
        yield ("environments", name, "hosts"), list(section.hosts)
        yield ("environments", name, "secrets"), list(section.secrets or [])
