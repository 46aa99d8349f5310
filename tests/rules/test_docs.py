import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.recipe_file import packaged_recipes

OF_RECIPES = {
    "certify",
    "predict",
    "train",
    "doctor",
    "plan",
    "theory",
    "tune",
    "inspect-purifier",
}
VERBS = OF_RECIPES | {
    *("report", "inspect", "convert", "ingest", "import"),
    *("status", "compact", "verify"),
}
COMMAND = re.compile(r"\bdiffsmooth ([\w-]+)(?: +([\w./-]+))?")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


@pytest.fixture
def pages(root: Path) -> list[Path]:
    if not (root / "README.md").exists():
        pytest.skip("there is no README.md yet")
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def commands(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield place, verb and first argument of the commands a page shows as code."""
    text = page.read_text()
    for code in CODE.finditer(text):
        for found in COMMAND.finditer(code[0]):
            line = text.count("\n", 0, code.start() + found.start()) + 1
            yield f"{page.name}:{line}", found[1], found[2]


def test_every_command_of_the_pages_has_a_verb_there_is(pages: list[Path]) -> None:
    wrong = [
        f"{place} has {verb}"
        for page in pages
        for place, verb, _ in commands(page)
        if verb not in VERBS
    ]

    assert wrong == []


def test_every_recipe_the_pages_name_is_there(pages: list[Path]) -> None:
    known = packaged_recipes()
    wrong = [
        f"{place} has {argument}"
        for page in pages
        for place, verb, argument in commands(page)
        if verb in OF_RECIPES
        and argument is not None
        and argument.islower()
        and not argument.endswith((".yaml", "/"))
        and not argument.startswith("-")
        and argument not in known
    ]

    assert wrong == []


def test_links_within_the_project_lead_somewhere(pages: list[Path]) -> None:
    wrong = [
        f"{page.name}:{text.count(chr(10), 0, found.start()) + 1} has {found[1]}"
        for page in pages
        for text in [page.read_text()]
        for found in LINK.finditer(text)
        if "://" not in found[1]
        and not found[1].startswith("mailto:")
        and not (page.parent / found[1]).exists()
    ]

    assert wrong == []
