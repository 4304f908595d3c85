"""What `invoke` offers: a verb parses arguments, calls one function of generator, fleet or lab, and prints."""

from invoke.collection import Collection

from verbs import certs, demo, etcd, hosts, lab, new, rendering, rollback, running, secrets, status, verify

namespace = Collection(
    new.new,
    new.validate,
    rendering.lock,
    rendering.render,
    rendering.show_diff,
    rendering.explain,
    running.plan,
    running.push,
    running.apply,
    rollback.rollback,
    status.status,
    verify.verify,
    running.kubeconfig,
    demo.demo,
    certs=certs.namespace,
    etcd=etcd.namespace,
    hosts=hosts.namespace,
    lab=lab.namespace,
    secrets=secrets.namespace,
)

__all__ = ["namespace"]
