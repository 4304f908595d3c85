"""The demo: scaffold a cluster, render it, show the tree and a diff; where the machine allows, launch it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from invoke.context import Context
from invoke.exceptions import Exit

from generator.sealing import create_identity
from lab import artifacts, remote
from lab.cluster import lab_spec, versions_in, write_spec
from lab.lab import Lab
from verbs.console import diff, say, tree
from verbs.verb import verb

NAME = "demo"
CONTROL, WORKER = "cp1", "w1"
CHANGE = "components:\n  kubelet:\n    config: {maxPods: 150}\n"


@verb(help={"no-lab": "stop after the diff, even where this machine could launch the cluster"})
def demo(context: Context, no_lab: bool = False) -> None:
    """Run the main job from scaffold to a running cluster, in a workspace of its own that it names.

    Example: invoke demo
    """
    base = Path(tempfile.mkdtemp(prefix="slipway-demo-"))
    workspace = base / "workspace"
    identity = base / "identity"
    environment = {"SLIPWAY_ROOT": str(workspace), "SLIPWAY_IDENTITY": str(identity)}
    (workspace / "clusters").mkdir(parents=True)
    create_identity(identity, workspace)
    heading("scaffold a cluster")
    slipway(environment, "new", "--name", NAME, "--no-input")
    heading("render it")
    slipway(environment, "render", "--cluster", NAME)
    tree(workspace / "rendered" / NAME, depth=2)
    heading("change one line of the spec; the diff is as large as the change")
    git(workspace, "init", "-q", "-b", "main")
    commit(workspace, "a new cluster")
    spec = workspace / "clusters" / NAME / "cluster.yaml"
    spec.write_text(with_change(spec.read_text()))
    slipway(environment, "render", "--cluster", NAME)
    diff(git(workspace, "diff"))
    commit(workspace, "150 pods on each node")
    reason = "--no-lab was given" if no_lab else cannot_launch()
    if reason:
        say(f"\nnot launched: {reason}. The workspace stays in {workspace}")
        return
    launch(workspace, environment)
    say(f"\nThe cluster runs. Its workspace is {workspace}.")
    say("`invoke lab.ssh --host cp1` enters a host, `invoke lab.down` ends the lab.")


def cannot_launch() -> str:
    """Return why this machine cannot launch lab hosts, "" where it can."""
    if not sys.platform.startswith("linux"):
        return "lab hosts need Linux"
    if os.geteuid() != 0:
        return "lab hosts need root (namespaces, mounts); run `sudo make demo` to see the launch"
    if shutil.which("apt-get") is None:
        return "the lab builds its hosts from Debian packages and this machine has no apt-get"
    return ""


def launch(workspace: Path, environment: Mapping[str, str]) -> None:
    """Launch the cluster on one control-plane host and one worker in the lab."""
    heading("boot two bare hosts in the lab (the first time this builds Kubernetes, 6 to 9 minutes)")
    directory = artifacts.build()
    lab = Lab()
    lab.destroy(*(host.name for host in lab.hosts if host.name in (CONTROL, WORKER)))
    lab.up(2, [CONTROL, WORKER])
    write_spec(
        workspace / "clusters" / NAME / "cluster.yaml",
        lab_spec(
            NAME,
            control={CONTROL: str(lab.host(CONTROL).address)},
            workers={WORKER: str(lab.host(WORKER).address)},
            versions=versions_in(directory),
        ),
    )
    environment = {**environment, "SLIPWAY_SSH_KEY": str(remote.key_path())}
    heading("the same cluster on these hosts: lock the binaries, render, read the host keys")
    slipway(environment, "lock", "--cluster", NAME, "--source", str(directory))
    slipway(environment, "render", "--cluster", NAME)
    in_lab(lab, environment, "hosts.scan", "--cluster", NAME, "--yes")
    commit(workspace, "the demo on lab hosts")
    heading("push and apply")
    in_lab(lab, environment, "push", "--cluster", NAME, "--source", str(directory))
    in_lab(lab, environment, "apply", "--cluster", NAME, "--yes")
    heading("the cluster")
    kubeconfig = workspace.parent / "admin.kubeconfig"
    in_lab(lab, environment, "kubeconfig", "--cluster", NAME, "--out", str(kubeconfig))
    kubectl = next(directory.glob("kubernetes/*/bin/linux/*/kubectl"))
    lab.exec_in_lab_namespace([str(kubectl), f"--kubeconfig={kubeconfig}", "get", "nodes", "-o", "wide"], attached=True)
    heading("apply again: nothing to do")
    in_lab(lab, environment, "apply", "--cluster", NAME)


def heading(text: str) -> None:
    """Print what comes next."""
    say(f"\n── {text}")


def invoke_words(words: Sequence[str]) -> list[str]:
    """Return a call of this very Slipway's verbs."""
    return [str(Path(sys.executable).with_name("invoke")), "--search-root", str(Path(__file__).parents[1]), *words]


def slipway(environment: Mapping[str, str], *words: str) -> None:
    """Run a verb as a user would; ends the demo where it fails."""
    finish(words, subprocess.run(invoke_words(words), env={**os.environ, **environment}, check=False).returncode)


def in_lab(lab: Lab, environment: Mapping[str, str], *words: str) -> None:
    """Run a verb inside the lab's network namespace, where its hosts are."""
    done = lab.exec_in_lab_namespace(invoke_words(words), env={**os.environ, **environment}, attached=True)
    finish(words, done.returncode)


def finish(words: Sequence[str], code: int) -> None:
    """End the demo with one line where a verb failed."""
    if code:
        raise Exit(f"error: `invoke {' '.join(words)}` ended with {code}; its message stands above", code=1)


def with_change(text: str) -> str:
    """Return the scaffolded spec with one override more."""
    if "components" in (yaml.safe_load(text) or {}):
        raise Exit("error: the scaffold sets components already; the demo's change does not fit", code=1)
    return text.rstrip("\n") + "\n\n" + CHANGE


def git(workspace: Path, *words: str) -> str:
    """Run git in the workspace and return what it prints."""
    identity = ["-c", "user.name=demo", "-c", "user.email=demo@localhost"]
    done = subprocess.run(["git", *identity, *words], cwd=workspace, check=True, capture_output=True, text=True)
    return done.stdout


def commit(workspace: Path, message: str) -> None:
    """Commit all of the workspace."""
    git(workspace, "add", "-A")
    git(workspace, "commit", "-q", "-m", message)
