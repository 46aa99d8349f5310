"""The project's own Python files, read but not run."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ops", "pipelines", "infra", "tune")


@dataclass(frozen=True)
class SourceFile:
    """One Python file of the project."""

    path: str
    """From the root, with slashes."""

    text: str
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """Return where a node stands, as file and line."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def read_sources(*folders: str) -> list[SourceFile]:
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            name = path.relative_to(ROOT).as_posix()
            found.append(SourceFile(name, text, ast.parse(text)))
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> Sequence[SourceFile]:
    """Return the files of the four packages."""
    return read_sources(*PACKAGES)


@pytest.fixture(scope="session")
def sources_and_tests() -> Sequence[SourceFile]:
    """Return the files of the four packages and of the tests."""
    return read_sources(*PACKAGES, "tests")
