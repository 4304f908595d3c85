"""Kubernetes 1.20.2 built once from Debian's source package and kept in the cache.

Debian 12 ships kubectl alone as a binary, but its source package `kubernetes`
(1.20.5+really1.20.2) holds all of it with its dependencies vendored. It builds in GOPATH mode
only: in module mode Go asks for updates to go.mod. kube-apiserver needs its OpenAPI definitions
generated first. About six minutes on two cores, since all binaries are built by one command and two
of Kubernetes' own build tags leave out what no lab has: SDKs of public clouds, and Docker.

Its vendored reflect2 1.0.1 reads Go's maps as Go before 1.18 laid them out, and an API server that
writes one as JSON dies now and then. Debian's own 1.0.2 takes its place.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.cache import cache_root, entry_path, lab_root, made_whole
from lab.command import run
from lab.debian import BUILD_PACKAGES, fetch_source_package, install
from lab.errors import LabError
from lab.progress import say, stage

VERSION = "v1.20.2"
BINARIES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

_UPSTREAM = "1.20.5+really1.20.2"
_GO_ROOT = Path("/usr/lib/go-1.19")
_VENDOR = "k8s.io/kubernetes/vendor/k8s.io"
_VERSION_PACKAGES = (f"{_VENDOR}/component-base/version", f"{_VENDOR}/client-go/pkg/version")
_LINKER_FLAGS = " ".join(
    ["-s", "-w"]
    + [
        f"-X {package}.{name}={value}"
        for package in _VERSION_PACKAGES
        for name, value in (
            ("gitVersion", VERSION),
            ("gitMajor", "1"),
            ("gitMinor", "20"),
            ("gitTreeState", "clean"),
        )
    ]
)
_BUILD = ("go", "build", "-trimpath", "-tags", "providerless,dockerless", "-ldflags", _LINKER_FLAGS)
_REFLECT2 = Path("github.com/modern-go/reflect2")
_GO_SOURCES = Path("/usr/share/gocode/src")
_RECIPE = {"reflect2": "1.0.2", "source": _UPSTREAM, "go": "1.19", "build": _BUILD, "binaries": BINARIES}


def binaries_path() -> Path:
    """Return the directory that holds the built binaries, whether or not it exists yet."""
    return entry_path(f"kubernetes-{VERSION}", _RECIPE)


def build() -> Path:
    """Build what is not in the cache and return the directory with the six static binaries."""
    ready = binaries_path()
    if ready.exists():
        return ready
    install(BUILD_PACKAGES)
    with (
        stage(f"building Kubernetes {VERSION}"),
        made_whole(ready) as output,
        TemporaryDirectory(prefix=".kubernetes.", dir=lab_root()) as work,
    ):
        scratch = Path(work)
        tree = _unpacked_source(scratch)
        environment = _go_environment(scratch)
        with stage("generating OpenAPI definitions"):
            run(["make", "gen_openapi", "GOFLAGS="], cwd=tree, env=environment)
        with stage(f"building {', '.join(BINARIES)}"):
            packages = [f"k8s.io/kubernetes/cmd/{name}" for name in BINARIES]
            run([*_BUILD, "-o", f"{output}/", *packages], cwd=tree, env=environment)
    say(f"Kubernetes {VERSION} is in {ready}")
    return ready


def _unpacked_source(scratch: Path) -> Path:
    """Fetch and unpack the source package at its place in a GOPATH and return that place."""
    with stage("fetching the source package"):
        description = fetch_source_package("kubernetes", scratch)
        if _UPSTREAM not in description.name:
            raise LabError(
                f"this Debian release has {description.stem}, not {_UPSTREAM}",
                "use a Debian 12 machine",
            )
        tree = scratch / "gopath" / "src" / "k8s.io" / "kubernetes"
        tree.parent.mkdir(parents=True)
        run(["dpkg-source", "--no-check", "-x", description, tree])
    shutil.rmtree(tree / "vendor" / _REFLECT2)
    shutil.copytree(_GO_SOURCES / _REFLECT2, tree / "vendor" / _REFLECT2)
    return tree


def _go_environment(scratch: Path) -> dict[str, str]:
    """Return the environment of a static GOPATH build that fetches nothing."""
    path = f"{_GO_ROOT / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "PATH": path,
        "GOROOT": str(_GO_ROOT),
        "GOPATH": str(scratch / "gopath"),
        "GOCACHE": str(cache_root() / "go-build"),
        "GO111MODULE": "off",
        # Each compiler ends within seconds: memory instead of its own garbage collection.
        "GOGC": "400",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "FORCE_HOST_GO": "y",
        "KUBE_GIT_VERSION": VERSION,
        "KUBE_GIT_COMMIT": "0" * 40,
        "KUBE_GIT_TREE_STATE": "clean",
        "KUBE_GIT_MAJOR": "1",
        "KUBE_GIT_MINOR": "20",
    }
