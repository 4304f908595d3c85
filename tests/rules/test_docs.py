"""Links lead to what is there, every page is found from the README, and lists of the code are those of the code."""

import re
from pathlib import Path

import pytest

from generator.components.registry import COMPONENTS
from generator.render.phases import PHASES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    found = LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    return [link for link in found if not link.startswith(("http://", "https://", "mailto:"))]


def anchors(page: Path) -> set[str]:
    """The names by which forges link to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_every_page_is_found_from_the_readme() -> None:
    named = {(ROOT / link).resolve() for link in links(ROOT / "README.md")}
    assert {page for page in DOCS.glob("*.md") if page.resolve() not in named} == set()


def test_the_page_on_architecture_names_the_phases_in_order() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^[0-9]+\. `([a-z-]+)`:", text, re.MULTILINE) == [phase.name for phase in PHASES]


def test_components_in_the_page_on_architecture_are_there() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("| section |")[2].partition("\n\n")[0]
    cells = [row.split("|")[3] for row in text.splitlines()[2:]]
    named = {name.strip() for cell in cells for name in cell.split(",") if name.strip()}
    assert named
    assert named <= {component.name for component in COMPONENTS}


def test_every_page_that_names_what_was_not_run_leads_to_the_one_of_all() -> None:
    for page in DOCS.glob("*.md"):
        if re.search(r"^## .*was not (run|tried)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert any(link.startswith("tried.md") for link in links(page)), page.name
