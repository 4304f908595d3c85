"""Bootstrap tokens: made for one join, alive for minutes, deleted after it, written only to the API and a tmpfs.

A token is a Secret of type bootstrap.kubernetes.io/token in kube-system
(https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/).
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fleet.admin import utc_now
from fleet.kube import Api, Ref
from generator.formats.yaml_text import yaml_text

TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers:slipway"
"""The group of joining hosts, which 00-cluster-rbac lets request a kubelet's client certificate."""
LABEL = "slipway.io/join"
"""Marks the tokens that Slipway made; its value says for what."""
BOOTSTRAP = "bootstrap"
"""The label's value for a token of a run, which deletes it."""
FIRST_BOOT = "first-boot"
"""The label's value for a token that a host carries in its user-data: it ends by itself, and no run deletes it."""
LIFETIME = timedelta(minutes=15)

_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Token:
    """A bootstrap token; `id` is public, `secret` is not shown."""

    id: str
    secret: str = field(repr=False)

    @property
    def ref(self) -> Ref:
        """The Secret that holds it."""
        return Ref("v1", "Secret", "kube-system", f"bootstrap-token-{self.id}")


def new_token() -> Token:
    """Return a random token: six and sixteen characters of a-z and 0-9, as the API demands."""
    return Token(
        "".join(secrets.choice(_ALPHABET) for _ in range(6)), "".join(secrets.choice(_ALPHABET) for _ in range(16))
    )


async def create(
    api: Api,
    hosts: Sequence[str],
    *,
    now: Callable[[], datetime] = utc_now,
    lifetime: timedelta = LIFETIME,
    use: str = BOOTSTRAP,
) -> Token:
    """Make a token for the join of some hosts and return it; raises ApiError.

    It authenticates and does nothing else (no signing of cluster-info), and it carries an expiration, after which the
    API server refuses it and the controller manager's tokencleaner deletes it.
    """
    token = new_token()
    expiration = (now() + lifetime).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Applied, not created: an attempt that is repeated after a lost answer then does no harm.
    await api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": token.ref.name, "namespace": token.ref.namespace, "labels": {LABEL: use}},
            "type": TYPE,
            "stringData": {
                "description": f"slipway: join of {', '.join(hosts)}",
                "token-id": token.id,
                "token-secret": token.secret,
                "expiration": expiration,
                "usage-bootstrap-authentication": "true",
                "auth-extra-groups": GROUP,
            },
        }
    )
    return token


async def delete(api: Api, token: Token) -> None:
    """Delete a token; one that is gone already is no error."""
    await api.delete(token.ref)


async def sweep(api: Api) -> int:
    """Delete every token of a run, such as one that was killed; return how many there were.

    Those in the user-data of hosts that boot just now stay: they end by themselves.
    """
    chosen = await api.list("v1", "Secret", "kube-system", labels=f"{LABEL}={BOOTSTRAP}")
    found = [secret for secret in chosen if secret.get("type") == TYPE]
    for secret in found:
        await api.delete(Ref("v1", "Secret", "kube-system", secret["metadata"]["name"]))
    return len(found)


def bootstrap_kubeconfig(cluster: str, join: Mapping[str, str], token: Token) -> str:
    """Return the kubeconfig by which a kubelet asks for its first certificate; it holds the token.

    `join` is the phase's: `server` (the node's own balancer) and `ca` (the path of the CA certificate on the host).
    """
    return yaml_text(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": cluster, "cluster": {"server": join["server"], "certificate-authority": join["ca"]}}],
            "users": [{"name": "bootstrap", "user": {"token": f"{token.id}.{token.secret}"}}],
            "contexts": [{"name": "bootstrap", "context": {"cluster": cluster, "user": "bootstrap"}}],
            "current-context": "bootstrap",
        }
    )
