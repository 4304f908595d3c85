"""User-data of one host: the rendered parts put together, and on request with what makes a worker join by itself.

Only the join adds anything to what was reviewed: the bootstrap kubeconfig with its token, units of this one boot that
take it away after the join, and the steps that start what waits for it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from fleet import tokens
from fleet.admin import utc_now
from fleet.csr import NODES_FILE, listed_nodes
from fleet.kube import Api, Ref
from fleet.tree import UNLOCKED, Host, Phase, RenderedTree
from generator.errors import RefusedError, StaleTreeError
from generator.formats.cloud_config import Part, file_entry, part_of, whole
from generator.formats.yaml_text import block_scalar

LIFETIME = timedelta(minutes=30)
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(hours=4)
JOIN_STEPS = "/run/slipway/first-boot.join"
"""Steps as generator/render/first-boot.sh reads them, behind those of pool and host."""
TIDY = "slipway-join"
NODES = Ref("v1", "ConfigMap", "kube-system", NODES_FILE.removeprefix("ConfigMap-kube-system-").removesuffix(".yaml"))


def rendered_parts(tree: RenderedTree, host: Host) -> tuple[Part, Part]:
    """Return the part of the host's pool and its own; raises RefusedError where the tree has none."""
    found = []
    for name in (f"cloud-init/{host.pool.name}.yaml", f"hosts/{host.name}/user-data"):
        try:
            found.append(part_of((tree.path / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RefusedError(
                f"{tree.cluster}/{host.name}: the tree has no user-data; give the cluster, or pool {host.pool.name}, a "
                "section cloudInit and run `invoke render`"
            ) from None
        except (OSError, ValueError) as error:
            raise StaleTreeError(
                f"{tree.cluster}: {name} cannot be read ({error}); run `invoke render`", [name]
            ) from None
    return found[0], found[1]


def user_data(tree: RenderedTree, host: Host, *further: Part) -> str:
    """Return a host's user-data as one `#cloud-config`."""
    return whole((*rendered_parts(tree, host), *further))


def joining_phase(tree: RenderedTree, host: Host) -> Phase:
    """Return the phase in which a host's node joins; raises RefusedError with every reason why it cannot by itself."""
    phase = next((one for one in tree.phases if one.join), None)
    secrets = sorted(item.key for item in host.items if item.is_secret)
    unlocked = sorted(
        {f"{item.artifact} {item.version}" for item in host.items if item.kind == "binary" and item.sha256 == UNLOCKED}
    )
    text = user_data(tree, host)
    missing = sorted(
        item.path
        for item in host.items
        if item.kind == "file" and not item.is_secret and f"- path: {block_scalar(item.path)}\n" not in text
    )
    faults = []
    if phase is None or not host.node or host.pool.roles & {"control-plane", "etcd"}:
        faults.append("only a worker joins by itself: what else runs here needs keys; use apply")
    if secrets:
        faults.append(f"it is to have secrets, which user-data never carries ({secrets[0]}); use apply")
    if tree.fetch != "host":
        faults.append("artifacts.fetch is push, so its programs come with apply; set artifacts.fetch: host")
    elif unlocked:
        faults.append(f"{unlocked[0]} is not locked; run `invoke lock` and render again")
    if missing:
        faults.append(f"its user-data lacks {missing[0]}; set cloudInit.brings: all and render again")
    if faults or phase is None:
        reasons = "".join(f"\n  {fault}" for fault in faults)
        raise RefusedError(f"{tree.cluster}/{host.name}: it cannot join at its first boot:{reasons}")
    return phase


def rehearsed(tree: RenderedTree, host: Host) -> str:
    """Return user-data of the size that it will have with a token; raises RefusedError where the host cannot join."""
    nothing = tokens.Token("a" * 6, "a" * 16)
    return user_data(tree, host, part_with(tree.cluster, joining_phase(tree, host), host, nothing, utc_now()))


async def join_part(
    api: Api, tree: RenderedTree, host: Host, *, lifetime: timedelta = LIFETIME, now: Callable[[], datetime] = utc_now
) -> Part:
    """Make a token that lives for `lifetime` and return the part of user-data with which a worker joins.

    Raises RefusedError where the host cannot join by itself, or the API does not know it yet: the approver of serving
    certificates goes by the list in the API. Raises ApiError.
    """
    phase = joining_phase(tree, host)
    if not SHORTEST <= lifetime <= LONGEST:
        shortest, longest = (int(one.total_seconds() // 60) for one in (SHORTEST, LONGEST))
        raise RefusedError(
            f"a join token lives for {shortest} to {longest} minutes; say how long this host takes to boot"
        )
    live = (await api.find(NODES) or {}).get("data") or {}
    if live.get(host.node) != listed_nodes(tree.path).get(host.node):
        raise RefusedError(
            f"{tree.cluster}/{host.name}: {NODES} in the API does not list the node as rendered, so its serving "
            "certificate would wait; run `invoke apply --phase cluster-rbac` first"
        )
    token = await tokens.create(api, [host.name], now=now, lifetime=lifetime, use=tokens.FIRST_BOOT)
    return part_with(tree.cluster, phase, host, token, now() + lifetime)


def part_with(cluster: str, phase: Phase, host: Host, token: tokens.Token, until: datetime) -> Part:
    """Return the part that joins a host by a token; it holds the token."""
    kubeconfig, pem = str(phase.join["kubeconfig"]), str(phase.join["clientCertificate"])
    units = [item for item in host.items if item.kind == "unit" and item.phase == phase.name]
    steps = [(phase.name, "enable", unit.name) for unit in units]
    steps += [(phase.name, "start", name) for name in (f"{TIDY}.path", *(unit.name for unit in units if unit.start))]
    files = (
        file_entry(kubeconfig, tokens.bootstrap_kubeconfig(cluster, phase.join, token), 0o600)
        + "".join(file_entry(path, text, 0o644) for path, text in _tidying(kubeconfig, pem).items())
        + file_entry(JOIN_STEPS, "".join("\t".join(step) + "\n" for step in steps), 0o600)
    )
    return Part((f"SECRET until {until:%Y-%m-%d %H:%M} UTC: a token by which {host.name} joins.",), "", files)


def _tidying(kubeconfig: str, pem: str) -> Mapping[str, str]:
    """Return units of this boot that delete the bootstrap kubeconfig, and themselves, once the node has its own."""
    folder = "/run/systemd/system"
    path, service = f"{folder}/{TIDY}.path", f"{folder}/{TIDY}.service"
    return {
        path: "[Unit]\nDescription=Wait for the certificate with which this node joins\n\n"
        f"[Path]\nPathExists={pem}\nMakeDirectory=false\n",
        service: "[Unit]\nDescription=Take the way of joining away after the join\n\n"
        # It stays active: a path unit whose path exists would start it again and again.
        "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/bin/rm -f {kubeconfig} {JOIN_STEPS} {path} {service}\n",
    }
