"""Questions about rights become SubjectAccessReviews, and answers that are not as they must be become findings."""

from __future__ import annotations

from fleet.verify.page import Identity
from fleet.verify.rights import Asked, finding, questions

SECRETS = {"verb": "get", "resource": "secrets", "namespace": "kube-system"}
NODE = Identity("node {node}", "system:node:{node}", ("system:nodes",),
                ({"verb": "get", "resource": "nodes", "name": "{node}"},), (SECRETS,))  # fmt: skip
APPROVER = Identity("csr-approver", "slipway:csr-approver", ("system:authenticated",), (), (SECRETS,))
METRICS = {"verb": "get", "nonResourceURL": "/metrics"}


def test_a_node_is_asked_about_under_its_name_and_others_once() -> None:
    asked = list(questions((NODE, APPROVER), ("cp1", "w1")))
    assert [(one.identity.user, one.allowed) for one in asked] == [
        ("system:node:cp1", True), ("system:node:cp1", False),
        ("system:node:w1", True), ("system:node:w1", False),
        ("slipway:csr-approver", False),
    ]  # fmt: skip
    assert asked[2].review["spec"] == {
        "user": "system:node:w1",
        "groups": ["system:nodes"],
        "resourceAttributes": {"verb": "get", "resource": "nodes", "name": "w1"},
    }


def test_a_path_is_asked_about_as_such() -> None:
    review = Asked(APPROVER, METRICS, False).review
    assert review["spec"]["nonResourceAttributes"] == {"verb": "get", "path": "/metrics"}
    assert "resourceAttributes" not in review["spec"]


def test_the_right_answers_are_no_finding() -> None:
    assert finding(Asked(APPROVER, SECRETS, False), {"allowed": False}) is None
    assert finding(Asked(APPROVER, SECRETS, True), {"allowed": True}) is None
    assert finding(Asked(APPROVER, SECRETS, False), {}) is None


def test_a_right_too_many_names_the_binding() -> None:
    found = finding(Asked(APPROVER, SECRETS, False), {"allowed": True, "reason": 'RBAC: allowed by RoleBinding "x"'})
    assert found is not None and found.subject == "csr-approver"
    assert found.cause == 'may get secrets in kube-system, which it must not (RBAC: allowed by RoleBinding "x")'


def test_a_missing_right_says_what_restores_it() -> None:
    asked = Asked(APPROVER, {"verb": "update", "resource": "certificatesigningrequests",
                             "subresource": "approval", "group": "certificates.k8s.io"}, True)  # fmt: skip
    found = finding(asked, {"allowed": False})
    assert found is not None
    assert found.cause.startswith("may not update certificatesigningrequests/approval of certificates.k8s.io")
    assert "invoke apply --phase cluster-rbac" in found.todo
