"""Rights: for each identity of verify.yaml the API server is asked, by SubjectAccessReview, what it would allow.

The server answers as its authorizers would (Node, RBAC and whatever else is configured), without anybody's
credentials (https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleet.connection import printable
from fleet.kube import Object
from fleet.verify.page import NODE, Identity
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import REQUESTS_AT_ONCE, Verification, each
from generator.errors import ApiError

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question on behalf of one identity, and whether it must be allowed."""

    identity: Identity
    question: Mapping[str, str]
    allowed: bool

    @property
    def words(self) -> str:
        """The question as a person says it: get secrets in kube-system."""
        one = self.question
        if "nonResourceURL" in one:
            return f"{one['verb']} {one['nonResourceURL']}"
        what = one["resource"] + (f"/{one['subresource']}" if "subresource" in one else "")
        group = f" of {one['group']}" if one.get("group", "*") != "*" else ""
        name = f" {one['name']}" if "name" in one else ""
        return f"{one['verb']} {what}{name}{group}" + (f" in {one['namespace']}" if "namespace" in one else "")

    @property
    def review(self) -> Object:
        """The SubjectAccessReview that asks it."""
        one = self.question
        spec: Object = {"user": self.identity.user, "groups": list(self.identity.groups)}
        if "nonResourceURL" in one:
            spec["nonResourceAttributes"] = {"verb": one["verb"], "path": one["nonResourceURL"]}
        else:
            spec["resourceAttributes"] = dict(one)
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def questions(identities: tuple[Identity, ...], nodes: tuple[str, ...]) -> Iterator[Asked]:
    """Yield every question; an identity that stands for a node is asked about as each of some nodes."""
    for identity in identities:
        named = NODE in identity.user
        for node in nodes if named else ("",):
            filled = Identity(
                identity.name.replace(NODE, node), identity.user.replace(NODE, node), identity.groups,
                identity.may, identity.may_not,
            )  # fmt: skip
            for table, allowed in ((identity.may, True), (identity.may_not, False)):
                for question in table:
                    yield Asked(filled, {key: value.replace(NODE, node) for key, value in question.items()}, allowed)


def finding(asked: Asked, status: Mapping[str, object]) -> Finding | None:
    """Return what is wrong with an answer (the status of a SubjectAccessReview), None where it is as it must be."""
    allowed = bool(status.get("allowed"))
    if allowed == asked.allowed:
        return None
    reason = printable(str(status.get("reason") or status.get("evaluationError") or "")).strip()
    if allowed:
        why = f" ({reason})" if reason else ""
        todo = "take that binding away, or the rule out of its role"
        return Finding(asked.identity.name, f"may {asked.words}, which it must not{why}", todo)
    why = f" ({reason})" if reason else ""
    todo = "run `invoke apply --phase cluster-rbac`, which restores roles and bindings"
    return Finding(asked.identity.name, f"may not {asked.words}, which it must be able to{why}", todo)


async def check_rights(run: Verification) -> Checked:
    """Ask for every identity what it may do; nodes are asked about as one control-plane node and one worker."""
    kinds = {bool(host.pool.roles & {"control-plane"}): host.node for host in reversed(run.nodes)}
    asked = list(questions(run.page.identities, tuple(kinds[kind] for kind in sorted(kinds))))

    async def one(question: Asked) -> Finding | None:
        answer = await run.api.call("POST", REVIEWS, f"ask whether {question.identity.name} may", body=question.review)
        status = answer.get("status")
        return finding(question, status if isinstance(status, Mapping) else {})

    try:
        found = await each(asked, REQUESTS_AT_ONCE, one)
    except ApiError as error:
        if error.status != 403:
            raise
        return Checked(skipped="the credentials of this run may not ask about the rights of others")
    identities = len({question.identity.user + str(question.identity.groups) for question in asked})
    return checked(f"{counted(len(asked), 'question')} for {identities} identities", found)
