"""Encryption keys and the service-account key rotated on a running cluster, step by step.

All through it a client reads a Secret through a worker's local balancer, with the token of a pod that was signed by the
old key; both must hold until the old keys are dropped, and the token exactly until then.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from generator.pki.rotation_state import ENCRYPTION, SERVICE_ACCOUNT, Rotation, read_state, state_text
from tests.lab.cluster_under_test import LabCluster, until

pytestmark = pytest.mark.lab_long

NAMESPACE = "rotation"
MANY = 300
"""Secrets beside those of the cluster: more than one page of a rewrite."""
WORD = secrets.token_hex(12)
ETCDCTL = (
    "ETCDCTL_API=3 /usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/pki/ca.crt"
    " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
)
READ = f"/api/v1/namespaces/{NAMESPACE}/secrets/watched"
PROTOBUF = "Accept: application/vnd.kubernetes.protobuf"
"""How the Kubernetes components read; the value of a Secret then stands in the answer as it is."""
# An API server that has just started listens before it has read the rules of RBAC, and says 403 for that moment.
READER = f"""
cd /run/reader
while :; do
    for try in 1 2 3; do
        code=$(curl -s -o body -w '%{{http_code}}' --max-time 10 --cacert /etc/kubernetes/pki/ca.crt -H @header \\
            -H '{PROTOBUF}' https://127.0.0.1:8443{READ})
        case $code in 000 | 403) sleep 0.3 ;; *) break ;; esac
    done
    [ "$code" != 200 ] || grep -q {WORD} body || code=200-without-its-value
    echo "$code" >>log
    sleep 0.3
done
"""
PATCH = '[{"op":"remove","path":"/data/token"}]'
VERBS = {"encryption": "secrets.encryption", "tokens": "secrets.service-account"}


def holder(name: str, worker: str) -> dict[str, Any]:
    """A pod with both kinds of token: the one of its account's Secret, and a projected one."""
    projected = {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}
    container = {
        "name": "holder",
        "image": "slipway.lab/busybox:1",
        "imagePullPolicy": "Never",
        "command": ["/bin/busybox", "sleep", "100000"],
        "volumeMounts": [{"name": "projected", "mountPath": "/projected"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "nodeName": worker,
            "serviceAccountName": "reader",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "projected", "projected": projected}],
        },
    }


def rights() -> list[dict[str, Any]]:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": NAMESPACE}
    named = {"name": "reader", "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": rbac, "kind": "Role", "metadata": named, "rules": [rule]},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": named, "roleRef": role, "subjects": [subject]},
    ]


def secret(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {"word": WORD},
    }


def apply_objects(lab: LabCluster, *objects: dict[str, Any]) -> None:
    lab.kubectl("apply", stdin="---\n".join(yaml.safe_dump(one) for one in objects))


def token_of(lab: LabCluster, pod: str, path: str) -> str:
    return lab.kubectl("exec", "-n", NAMESPACE, pod, "--", "/bin/busybox", "cat", path).strip()


def status_with(lab: LabCluster, token: str) -> str:
    """What each API server in turn answers to a read with a token, as long as they agree."""
    found = set()
    for host in lab.control:
        # The token goes by standard input of the shell's own here-document, so that it is in no list of processes.
        ask = (
            "curl -s -o /dev/null -w '%{http_code}' --max-time 10 --cacert /etc/kubernetes/pki/ca.crt -H @-"
            f" -H '{PROTOBUF}' https://{lab.addresses[host]}:6443{READ} <<'END'\nAuthorization: Bearer {token}\nEND\n"
        )
        # An API server that is just restarting says nothing about a token.
        answers = (lab.try_sh(lab.workers[0], ask).stdout.strip() for _ in range(6))
        found.add(next((answer for answer in answers if answer not in {"", "000"}), "000"))
    return ",".join(sorted(found))


def key_name_of(token: str) -> str:
    """Which key signed a token, as its header says."""
    head = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def written_with(lab: LabCluster) -> Counter[str]:
    """How many values below /registry/secrets etcd holds under each key, by the raw beginning of the value."""
    stored = lab.sh(lab.control[0], f"{ETCDCTL} get /registry/secrets --prefix -w json | base64 -w0")
    found: Counter[str] = Counter()
    for pair in json.loads(base64.b64decode(stored))["kvs"]:
        prefix = re.match(rb"k8s:enc:secretbox:v1:([^:]+):", base64.b64decode(pair["value"]))
        assert prefix is not None, base64.b64decode(pair["key"])
        found[prefix.group(1).decode()] += 1
    return found


def state(lab: LabCluster, kind: str) -> dict[str, Any]:
    shown = lab.invoke(VERBS[kind], "--json")
    assert shown.returncode in {0, 2}, shown.stderr
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def make_next(lab: LabCluster, kind: str, *more: str) -> dict[str, Any]:
    done = lab.invoke(VERBS[kind], "--next", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return state(lab, kind)


def refusal(lab: LabCluster, *words: str) -> str:
    done = lab.invoke(*words)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stderr


def rendered(lab: LabCluster, message: str) -> set[str]:
    done = lab.invoke("render")
    assert done.returncode == 0, done.stderr
    changed = set(lab.changed("rendered"))
    lab.commit(message)
    return changed


def applied(lab: LabCluster) -> None:
    done = lab.invoke("apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr


class Reading:
    """The client on a worker: reads without end, and what it got."""

    def __init__(self, lab: LabCluster, token: str) -> None:
        self.lab, self.token, self.worker = lab, token, lab.workers[0]
        lab.sh(
            self.worker,
            f"umask 077; mkdir -p /run/reader; cd /run/reader; : >log; cat >header <<'END'\n"
            f"Authorization: Bearer {token}\nEND\ncat >loop.sh <<'END'\n{READER}END\n"
            "systemd-run --quiet --unit=lab-reader sh /run/reader/loop.sh",
        )

    def got(self) -> Counter[str]:
        return Counter(self.lab.sh(self.worker, "cat /run/reader/log").split())

    def require_all_read(self) -> None:
        found = self.got()
        assert found["200"] > 5, found
        if len(self.lab.control) > 1:
            assert set(found) == {"200"}, found
        # A single API server is away while it restarts; even so it never fails to read a value or a token.
        assert not {"500", "401", "200-without-its-value"} & set(found), found

    def end(self) -> None:
        self.lab.try_sh(self.worker, "systemctl stop lab-reader; rm -rf /run/reader")


@pytest.fixture(scope="module")
def reading(lab: LabCluster) -> Iterator[Reading]:
    apply_objects(lab, *rights(), secret("watched"), *(secret(f"s{number:03}") for number in range(MANY)))
    apply_objects(lab, holder("old", lab.workers[-1]))
    lab.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/old", "--timeout=120s")
    found = Reading(lab, token_of(lab, "old", "/projected/token"))
    yield found
    found.end()
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_new_keys_become_known_to_every_api_server(lab: LabCluster, reading: Reading) -> None:
    lab.commit("before the rotation")
    assert status_with(lab, reading.token) == "200"
    old = state(lab, "encryption")["writer"].rpartition("/")[2]
    assert set(written_with(lab)) == {old}
    for kind in VERBS:
        assert state(lab, kind)["step"] == "steady"
        assert make_next(lab, kind)["step"] == "added"
    pair = state(lab, "tokens")["verifiers"][0]
    assert rendered(lab, "new keys, known") == {
        "components/kube-apiserver/manifest.yaml",
        "components/kube-apiserver/rootfs/etc/kubernetes/encryption.yaml",
        "components/kube-apiserver/rootfs/etc/systemd/system/kube-apiserver.service",
        "components/trust@control/manifest.yaml",
        f"components/trust@control/rootfs/etc/kubernetes/pki/{pair}.pub",
        "pki.yaml",
    }
    for verb in VERBS.values():
        told = refusal(lab, verb, "--next")
        assert all(f"\n  {host}: " in told for host in lab.control), told
    applied(lab)
    assert set(written_with(lab)) == {old}, "known, and nothing written with it yet"
    reading.require_all_read()


def test_the_new_keys_lead(lab: LabCluster, reading: Reading) -> None:
    # One after the other: each proof stands on a tree that is current and live, so the other key waits for its apply.
    for kind in VERBS:
        assert make_next(lab, kind)["step"] == "leading"
        assert "is not what clusters/" in refusal(lab, VERBS[kind], "--next"), "not rendered yet"
        rendered(lab, f"the new key of {kind}, leading")
        told = refusal(lab, VERBS[kind], "--next")
        assert all(f"\n  {host}: " in told for host in lab.control), told
        applied(lab)
    reading.require_all_read()
    assert status_with(lab, reading.token) == "200", "tokens of the old key are accepted on"
    apply_objects(lab, holder("new", lab.workers[-1]), secret("fresh"))
    lab.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/new", "--timeout=120s")
    fresh = token_of(lab, "new", "/projected/token")
    assert key_name_of(fresh) != key_name_of(reading.token) and status_with(lab, fresh) == "200"
    new = state(lab, "encryption")["writer"].rpartition("/")[2]
    found = written_with(lab)
    assert len(found) == 2 and found[new] < MANY < sum(found.values()), "old values stay as they are until rewritten"


@pytest.mark.parametrize("kind", [ENCRYPTION, SERVICE_ACCOUNT], ids=lambda kind: kind.lead)
def test_a_key_is_not_dropped_before_its_time(lab: LabCluster, reading: Reading, kind: Any) -> None:
    """A state as the verb would write it after the drop, and the tree that lies there speaks against it."""
    path = lab.inputs / kind.file
    before = path.read_text()
    found = read_state(lab.inputs, kind)
    assert found is not None and found.step == "leading"
    path.write_text(state_text(Rotation(kind, found.lead, (), None, found.others)))
    try:
        told = refusal(lab, "render")
        assert f"{found.others[0]} would be dropped, and nothing is recorded as {kind.settled}" in told
    finally:
        path.write_text(before)
    assert lab.invoke("render", "--check").returncode == 0


def test_every_value_is_rewritten(lab: LabCluster, reading: Reading) -> None:
    counted = lab.invoke("secrets.rewrite", "--dry-run", "--json")
    assert counted.returncode == 2, counted.stderr
    assert json.loads(counted.stdout)["objects"]["secrets"] > MANY
    assert len(written_with(lab)) == 2
    done = lab.invoke(VERBS["encryption"], "--next")
    assert done.returncode == 0, done.stderr
    assert WORD not in done.stdout + done.stderr
    found = state(lab, "encryption")
    assert found["step"] == "settled" and found["rewritten"]["objects"]["secrets"] > MANY
    assert set(written_with(lab)) == {found["writer"].rpartition("/")[2]}, "none lies under the old key"
    assert lab.invoke("render", "--check").returncode == 0, "a record changes no rendered byte"
    reading.require_all_read()


def test_tokens_of_the_old_key_stand_in_the_way(lab: LabCluster, reading: Reading) -> None:
    assert make_next(lab, "tokens")["step"] == "settled"
    told = refusal(lab, VERBS["tokens"], "--next")
    assert "Secrets hold tokens that never end: " in told and f"{NAMESPACE}/old" in told and "--void-old-tokens" in told
    fields = "-o=jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}\n{end}"
    legacy = ("get", "secrets", "-A", "--field-selector=type=kubernetes.io/service-account-token", fields)
    for line in lab.kubectl(*legacy).splitlines():
        namespace, name = line.split()
        lab.kubectl("patch", "secret", "-n", namespace, name, "--type=json", f"--patch={PATCH}")
    until(lambda: "tokens that never end" not in lab.invoke(VERBS["tokens"], "--next").stderr, 60)
    # What is known is when all API servers were seen to sign with the new key; "new" came before that, and counts.
    apply_objects(lab, holder("later", lab.workers[-1]))
    lab.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/later", "--timeout=120s")
    told = refusal(lab, VERBS["tokens"], "--next")
    older = rf"2 pods are older than the switch, [a-z ]+ until 20\S+: {NAMESPACE}/new, {NAMESPACE}/old;"
    assert re.search(older, told), told
    assert "nothing was changed" in refusal(lab, VERBS["tokens"], "--next", "--void-old-tokens"), "nobody agreed"
    reading.require_all_read()


def test_the_old_keys_are_dropped(lab: LabCluster, reading: Reading) -> None:
    assert make_next(lab, "encryption")["step"] == "steady"
    rendered(lab, "old encryption key, dropped")
    applied(lab)
    dropped = make_next(lab, "tokens", "--void-old-tokens", "--yes")
    assert dropped["step"] == "steady" and len(dropped["retired"]) >= 1
    rendered(lab, "old pair, dropped")
    reading.require_all_read()
    applied(lab)
    # Each API server remembers for ten seconds that a token was good.
    until(lambda: status_with(lab, reading.token) == "401", 30)
    assert status_with(lab, token_of(lab, "new", "/projected/token")) == "200"
    mounted = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    until(lambda: status_with(lab, token_of(lab, "old", mounted)) == "200", 180)
    found = reading.got()
    assert not {"500", "200-without-its-value"} & set(found), "every value was readable to the end"
    assert set(written_with(lab)) == {state(lab, "encryption")["writer"].rpartition("/")[2]}
    for host in lab.control:
        held = lab.sh(host, "ls /etc/kubernetes/pki").split()
        assert [name for name in held if re.fullmatch(r"sa.*\.(key|pub)", name)] == [
            f"{dropped['signer']}.key",
            f"{dropped['signer']}.pub",
        ]
    assert lab.invoke("plan").returncode == 0, "nothing is left to do"
