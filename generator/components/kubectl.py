"""kubectl on control-plane hosts, with completion for bash; it needs a kubeconfig that the operator brings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from generator.components.items import HostFile, HostItem
from generator.components.program import kubernetes_binary, kubernetes_link
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.spec.model import Cluster, Pool

NAME = "kubectl"
PHASE = "control-plane"
COMPLETION = "/etc/bash_completion.d/slipway-kubectl"

# Status 124 tells bash to look at the completion anew, which by then is the one that kubectl printed.
_COMPLETION_TEXT = """\
# Completion for kubectl, printed by the kubectl that is installed when a shell needs it for the first time.
_slipway_kubectl() {
    complete -r kubectl
    source <(kubectl completion bash) && return 124
}
complete -F _slipway_kubectl kubectl
"""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The command-line client of the cluster's own version, which the csr-approver uses too."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are control plane."""
        return "control-plane" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return what the spec says; there is nothing to set."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield the link and the completion."""
        yield kubernetes_link(view, NAME, phase=PHASE)
        yield HostFile(COMPLETION, _COMPLETION_TEXT, NAME, PHASE)

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield the executable for the pool's architecture."""
        yield kubernetes_binary(view, NAME)

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: every host has the same."""
        return ()


COMPONENT = Kubectl()
