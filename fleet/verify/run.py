"""One functional test from beginning to end: which checks there are, in what order, and that nothing of it is left.

Checks that need a pod share one namespace, which is made early, so that images are pulled while hosts are looked at,
and removed however the run ends: by itself, by an error, by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.cluster_client import OperatorApi
from fleet.connection import Connection
from fleet.holder import machine_id, process_id
from fleet.kube import Object
from fleet.options import selected
from fleet.session import Session
from fleet.standing import Fleet, operator
from fleet.tree import Host, RenderedTree
from fleet.verify import workload
from fleet.verify.certificates import check_certificates
from fleet.verify.dns import check_dns
from fleet.verify.listeners import check_listeners
from fleet.verify.node_list import check_nodes, ready_names
from fleet.verify.page import load_page
from fleet.verify.pods import Pods, check_exec, check_logs, check_pod_network, check_pods, wait_ready
from fleet.verify.results import Checked, CheckResult, Finding, Report, checked, counted
from fleet.verify.rights import check_rights
from fleet.verify.services import check_node_ports, check_service
from fleet.verify.visits import Verification
from generator.errors import ApiError, PkiError, SealingError, WorkspaceError

TITLES: Mapping[str, str] = {
    "hosts": "every host answers over SSH",
    "nodes": "every node is Ready, none is missing, none is foreign",
    "certificates": "certificates on hosts: chain, time, subject, names, usages",
    "listeners": "each TLS port serves the certificate that is on disk",
    "rights": "everybody may do what he must, and no more",
    "pods": "a test pod is Ready on every worker",
    "logs": "the log of each test pod can be read",
    "exec": "programs can be run in each test pod",
    "pod-network": "pods reach pods of other nodes",
    "service": "a Service answers at its cluster IP from every node",
    "node-port": "its node port answers on every node, from every host",
    "dns": "pods find Services by name",
    "cleanup": "nothing of the test is left",
}
"""The checks, in order, each with what it shows."""

HOST_CHECKS = frozenset({"hosts", "certificates", "listeners", "service", "node-port"})
POD_CHECKS = frozenset({"pods", "logs", "exec", "pod-network", "service", "node-port", "dns"})
READY_SECONDS = 180.0

OpenApi = Callable[[Session], Awaitable[OperatorApi]]


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What an operator may ask of a test: `only` some checks, pods on control-plane nodes too, how long pods may take.

    `seconds` is how long is waited until all test pods are Ready.
    """

    only: tuple[str, ...] = ()
    all_nodes: bool = False
    seconds: float = READY_SECONDS


@dataclass(frozen=True, slots=True)
class Design:
    """What a test would do: the checks, the hosts on which pods run, and the objects that it creates ("" for none)."""

    checks: tuple[str, ...]
    hosts: tuple[Host, ...]
    pod_hosts: tuple[Host, ...]
    namespace: str
    objects: tuple[Object, ...]


def design(tree: RenderedTree, image: str, limit: Sequence[str], options: VerifyOptions) -> Design:
    """Return what a test would do; raises WorkspaceError for a check or a host that does not exist."""
    for name in options.only:
        if name not in TITLES:
            raise WorkspaceError(f"{tree.cluster}: --only {name}: no such check; there are {', '.join(TITLES)}")
    wanted = set(options.only) or set(TITLES)
    if wanted & POD_CHECKS:
        wanted |= {"pods", "cleanup"}
    else:
        wanted -= {"cleanup"}
    if wanted & HOST_CHECKS:
        wanted.add("hosts")
    hosts = tuple(tree.hosts[name] for name in selected(tree, limit))
    nodes = tuple(host for host in hosts if host.node)
    everywhere = options.all_nodes or not tree.with_role("worker")
    targets = tuple(host for host in nodes if everywhere or "worker" in host.pool.roles)
    namespace = workload.new_name() if wanted & POD_CHECKS and targets else ""
    chosen = {host.node for host in targets}
    never = sorted(host.node for host in tree.hosts.values() if host.node and host.node not in chosen)
    maker = workload.Maker(operator(), machine_id(), process_id(os.getpid()))
    objects = workload.objects(
        namespace, image, maker, only=sorted(chosen) if limit else (), never=() if limit else never
    )
    checks = tuple(name for name in TITLES if name in wanted)
    return Design(checks, hosts, targets, namespace, objects if namespace else ())


async def verify_run(fleet: Fleet, options: VerifyOptions, open_api: OpenApi) -> Report:
    """Make all checks and return what they found.

    What fails is a finding of a check. Raises WorkspaceError for options that fit nothing, StaleTreeError for a tree
    that is not as rendered, PkiError where a CA certificate of the cluster's folder cannot be read.
    """
    page = load_page(fleet.tree.path)
    plan = design(fleet.tree, page.image, fleet.options.limit, options)
    session = Session(fleet.tree, fleet.connector)
    began = time.monotonic()
    operated: OperatorApi | None = None
    try:
        operated = await open_api(session)
        run = Verification(
            fleet.tree, page, fleet.cluster_dir, plan.hosts, not fleet.options.limit, session, operated.api,
            fleet.reporter, fleet.clock,
        )  # fmt: skip
        results = await _Run(run, plan, options).run()
    finally:
        if operated is not None:
            await operated.close()
        await session.close()
    return Report(fleet.tree.cluster, results, time.monotonic() - began)


class _Run:
    """The checks of one run, in order; `_no_api` says why the API cannot be asked, "" as long as it can."""

    def __init__(self, run: Verification, plan: Design, options: VerifyOptions) -> None:
        self._run = run
        self._plan = plan
        self._options = options
        self._results: list[CheckResult] = []
        self._no_api = ""
        self._no_pods = "" if plan.pod_hosts else "no worker is among the chosen hosts; add --all-nodes"
        self._made = False
        self._service: Object = {}
        self._pods = Pods("")
        self._refused: Finding | None = None

    async def run(self) -> tuple[CheckResult, ...]:
        """Make the checks; whatever happens, nothing that was created stays."""
        run = self._run
        try:
            await self._check("hosts", self._hosts)
            await self._check("nodes", lambda: check_nodes(run), api=True)
            if self._plan.namespace and not self._no_api:
                await self._create()
            await self._check("certificates", lambda: check_certificates(run))
            await self._check("listeners", lambda: check_listeners(run))
            await self._check("rights", lambda: check_rights(run), api=True)
            await self._check("pods", self._ready, pods=True)
            await self._check("logs", lambda: check_logs(run, self._pods), pods=True)
            await self._check("exec", lambda: check_exec(run, self._pods), pods=True)
            await self._check("pod-network", lambda: check_pod_network(run, self._pods), pods=True)
            pages = {host.node for host in run.tree.hosts.values()} | {pod.node for pod in self._pods.ready}
            await self._check("service", lambda: check_service(run, self._service, pages), pods=True)
            await self._check("node-port", lambda: check_node_ports(run, self._service, pages), pods=True)
            await self._check("dns", lambda: check_dns(run, self._pods, self._service), pods=True)
        except BaseException:
            # Ctrl-C and SIGTERM come here as a cancellation; the removal has its own bounded time.
            await self._remove_after_all()
            raise
        if self._made:
            await self._check("cleanup", self._removed)
        return tuple(self._results)

    async def _check(
        self, name: str, action: Callable[[], Awaitable[Checked]], *, api: bool = False, pods: bool = False
    ) -> None:
        if name not in self._plan.checks:
            return
        began = time.monotonic()
        reason = (self._no_api if api or pods else "") or (self._no_pods if pods else "")
        if reason:
            found = Checked(skipped=reason)
        else:
            self._run.reporter.event("phase", phase=name, title=TITLES[name])
            found = self._run.settled(await self._asked(action, api or pods))
        result = CheckResult(name, TITLES[name], found, time.monotonic() - began)
        self._results.append(result)
        if result.outcome == "failed":
            self._run.reporter.event("failed", text=f"{name}: {counted(len(found.findings), 'finding')}")

    async def _asked(self, action: Callable[[], Awaitable[Checked]], api: bool) -> Checked:
        try:
            return await action()
        except ApiError as error:
            if error.status in (0, 401):
                self._no_api = "the API cannot be asked; see the first check that failed"
            cause, _, todo = str(error).rpartition("; ")
            return checked("", [Finding("", cause or str(error), todo or "see the journal of kube-apiserver")])
        except (SealingError, PkiError) as error:
            if not api:
                raise
            self._no_api = "no credentials, see above"
            return Checked(skipped=f"no credentials: {error}")

    async def _hosts(self) -> Checked:
        """Open every connection; a host that does not answer is lost, which the run makes a finding."""

        async def one(host: Host, connection: Connection) -> str:
            return connection.host

        await self._run.visit_all(self._run.hosts, one)
        return checked(counted(len(self._run.hosts), "host"), [])

    async def _create(self) -> None:
        run, plan = self._run, self._plan
        try:
            gone = await workload.remove_left_over(run.api, machine_id(), run.now())
            for name in gone:
                run.reporter.event("note", text=f"namespace {name} of a run that was killed is removed")
            self._made = True
            await workload.create(run.api, plan.objects[:1])
        except ApiError as error:
            self._made = error.status != 403
            self._not_created(error)
            return
        try:
            self._service = await workload.create(run.api, plan.objects[1:])
            run.reporter.event("note", text=f"test pods are in namespace {plan.namespace}")
        except ApiError as error:
            self._not_created(error)

    def _not_created(self, error: ApiError) -> None:
        if error.status == 403:
            self._no_pods = "the credentials of this run may not create a namespace with pods"
        else:
            self._refused = Finding("", f"the test pods could not be created: {error}", "see the check nodes")

    async def _ready(self) -> Checked:
        if self._refused is not None:
            self._no_pods = "the test pods could not be created"
            return checked("", [self._refused])
        run, began = self._run, time.monotonic()
        ready = await ready_names(run)
        nodes = [host.node for host in self._plan.pod_hosts]
        waited = [node for node in nodes if node in ready]
        self._pods = await wait_ready(run, self._plan.namespace, waited, self._options.seconds)
        run.reporter.event("gate", gate="pods", took=time.monotonic() - began)
        dead = {
            node: Finding(node, "no test pod can run there: the node is not Ready", "see the check nodes")
            for node in nodes
            if node not in ready
        }
        self._pods.missing = {**(self._pods.missing or {}), **dead}
        if not self._pods.ready:
            self._no_pods = "no test pod is Ready"
        return await check_pods(run, self._pods, nodes)

    async def _removed(self) -> Checked:
        left = await workload.remove(self._run.api, self._plan.namespace)
        if not left:
            return checked(f"namespace {self._plan.namespace}", [])
        todo = f"see `kubectl get namespace {self._plan.namespace} -o yaml`; the next run removes it where it can"
        return checked("", [Finding("", left, todo)])

    async def _remove_after_all(self) -> None:
        if not self._made:
            return
        self._run.reporter.event("note", text=f"removing namespace {self._plan.namespace}")
        left = await workload.remove(self._run.api, self._plan.namespace)
        if left:
            self._run.reporter.event("warning", text=f"{left}; the next `invoke verify` removes it where it can")
