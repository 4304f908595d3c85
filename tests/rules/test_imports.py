"""Which room may import which (docs/architecture.md): what was reviewed is what is pushed."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLEET_MAY = (
    "generator.errors",
    "generator.formats",
    "generator.sealing",
    "generator.pki.issuing",
    "generator.pki.keys",
)
SOCKETS = {"socket", "ssl", "http", "urllib", "asyncssh", "asyncio", "requests", "urllib3", "aiohttp"}


def imported(module: Path) -> set[str]:
    """Every module that a file imports, `from a import b` counted as both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_rooms_have_modules() -> None:
    for room in ("generator", "fleet", "lab", "verbs"):
        assert modules(room), room


@pytest.mark.parametrize("module", modules("fleet"), ids=lambda path: path.name)
def test_fleet_sees_only_what_was_reviewed(module: Path) -> None:
    seen = {name for name in imported(module) if below(name, "generator")}
    assert not {name for name in seen if not any(below(name, allowed) for allowed in FLEET_MAY)}
    assert not {name for name in imported(module) if below(name, "verbs") or below(name, "lab")}


@pytest.mark.parametrize("module", modules("generator"), ids=lambda path: path.name)
def test_generator_never_opens_a_socket(module: Path) -> None:
    names = imported(module)
    assert not {name for name in names if name.split(".")[0] in SOCKETS}
    assert not {name for name in names if any(below(name, room) for room in ("fleet", "verbs", "lab"))}


@pytest.mark.parametrize("module", modules("generator/ci"), ids=lambda path: path.name)
def test_projects_need_no_cluster_to_be_rendered(module: Path) -> None:
    seen = {name for name in imported(module) if below(name, "generator")}
    rooms = ("generator.ci", "generator.errors", "generator.formats", "generator.spec")
    assert not {name for name in seen if not any(below(name, room) for room in rooms)}


@pytest.mark.parametrize("module", modules("generator/components"), ids=lambda path: path.name)
def test_a_component_never_imports_a_component(module: Path) -> None:
    if module.stem == "registry":  # the one place that knows all components
        return
    components = {path.stem for path in modules("generator/components") if "\nCOMPONENT" in path.read_text()}
    assert "etcd" in components
    for name in imported(module):
        if below(name, "generator.components"):
            assert name.split(".")[2] not in components, name


def test_only_sealing_knows_age() -> None:
    rooms = modules("generator") + modules("fleet") + modules("verbs")
    users = {module for module in rooms if "pyrage" in imported_roots(module)}
    assert users and users <= set(modules("generator/sealing"))


def imported_roots(module: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(module)}


def test_no_module_has_a_name_that_says_nothing() -> None:
    every = [path for room in ("generator", "fleet", "lab", "verbs", "tests") for path in modules(room)]
    assert not [path for path in every if path.stem in {"utils", "helpers", "common", "misc"}]
