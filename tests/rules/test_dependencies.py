import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version


def requirements(root: Path) -> dict[str, Requirement]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    listed = map(Requirement, project["dependencies"])
    return {requirement.name: requirement for requirement in listed}


def test_what_is_installed_is_what_the_project_asks_for(root: Path) -> None:
    wrong = [
        f"pyproject.toml asks for {requirement}, {version} is installed"
        for name, requirement in requirements(root).items()
        if not requirement.specifier.contains(version := metadata.version(name))
    ]

    assert wrong == []


def test_object_stores_are_written_by_a_client_that_can_write_once() -> None:
    # Older clients know no If-None-Match, and overwrite votes of another worker.
    assert Version(metadata.version("s3fs")) >= Version("2026.1")
    asked = {
        requirement.name: requirement
        for requirement in map(Requirement, metadata.requires("s3fs") or [])
        if requirement.marker is None
    }
    installed = metadata.version("aiobotocore")
    assert asked["aiobotocore"].specifier.contains(installed)


@pytest.mark.parametrize(("name", "floor"), [("ray", "2.60"), ("torch", "2.10")])
def test_floors_that_results_rest_on_are_kept(
    root: Path, name: str, floor: str
) -> None:
    asked = requirements(root)[name].specifier

    assert floor in asked
    assert not asked.contains("2.5")
