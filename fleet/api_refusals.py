"""What an API server says when it refuses, and what is to be done about it: the words beside each refusal."""

from __future__ import annotations

import re

from generator.errors import ApiError

_BY_STATUS = {
    400: "correct the object",
    401: "use credentials of this cluster's own CA, and check the clocks",
    403: "use credentials that may do this",
    404: "see whether its namespace exists",
    409: "run again, or take the object out of the rendered ones",
    413: "make the object smaller: etcd takes 1.5 MiB at most",
    422: "correct the object in clusters/ or addons/ and render again",
    429: "wait, then run again",
}

_BY_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"failed calling (admission )?webhook"),
        "bring up the pods behind that webhook, or delete its configuration where its program has left the cluster",
    ),
    (
        re.compile(r"admission webhook .* denied the request"),
        "correct the object, or change the policy behind that webhook",
    ),
    (
        re.compile(r"ValidatingAdmissionPolicy"),
        "correct the object, or change that policy",
    ),
    (
        re.compile(r"because it is being terminated"),
        "wait until the namespace has gone (`kubectl get namespace NAME -o yaml` says what holds it), then run again",
    ),
    (
        re.compile(r"violates PodSecurity"),
        "correct the pod, or give its namespace the label pod-security.kubernetes.io/enforce that it needs",
    ),
    (
        re.compile(r"exceeded quota"),
        "raise the ResourceQuota of that namespace, or ask for less",
    ),
    (
        re.compile(r"attempting to grant RBAC permissions not currently held"),
        "nobody may give rights that he has not: use credentials of group slipway:admins",
    ),
    (
        re.compile(r'^namespaces "[^"]+" not found'),
        "render its Namespace in this set or one before it, or make it by hand",
    ),
    (
        re.compile(r"could not find the requested resource"),
        "its kind is not served: apply its definition first, or write the version that this Kubernetes serves",
    ),
    (
        re.compile(r"field is immutable|may not be changed|updates to .* fields other than .* are forbidden"),
        "the API never changes that field in place: delete the object by hand, then run again",
    ),
    (
        re.compile(r"[Tt]oo long: must have at most|etcdserver: request is too large"),
        "make the object smaller",
    ),
    (
        re.compile(r"currently unable to handle the request"),
        "a program behind the API does not answer: `kubectl get apiservices` names the one that is not Available",
    ),
)

_REFUSALS = frozenset({400, 403, 404, 405, 409, 413, 415, 422})


def advice(status: int, said: str) -> str:
    """Return what to do about a refusal, from the server's own words where they are known, else from the status."""
    for pattern, todo in _BY_WORDS:
        if pattern.search(said):
            return todo
    return _BY_STATUS.get(status, "see the journal of kube-apiserver")


def lacks_right(error: ApiError) -> bool:
    """Return whether it is the caller who may not do this, and not the object that is refused."""
    return error.status == 403 and not any(pattern.search(str(error)) for pattern, _ in _BY_WORDS)


def is_refusal(error: ApiError) -> bool:
    """Return whether the server has looked at this one object and said no; what it says of others still counts."""
    return error.status in _REFUSALS or "failed calling" in str(error)


def reason_of(error: ApiError) -> str:
    """Return what was said without the place before it, for a line that names the object already."""
    return str(error).partition(": kube-apiserver: ")[2] or str(error)
