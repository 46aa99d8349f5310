import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

OURS = {
    "ops": {"ops"},
    "infra": {"infra"},
    "pipelines": {"pipelines", "ops", "infra"},
    "tune": {"tune", "pipelines", "ops", "infra"},
}
"""Which of our packages each may import."""

ONLY_IN = {
    "ray": ("pipelines/", "tune/", "infra/cluster.py", "infra/meters.py"),
    "diffusers": ("ops/purify/", "ops/classify/"),
    "timm": ("ops/purify/", "ops/classify/", "ops/augment/"),
    "s3fs": ("infra/s3_clients.py",),
    "aiobotocore": ("infra/s3_errors.py",),
    "botocore": ("infra/s3_clients.py", "infra/s3_errors.py", "infra/s3_settings.py"),
    "mlflow": ("infra/tracking.py", "infra/tracking_client.py"),
    "optuna": ("tune/",),
}
"""Where a library may be imported, also inside functions."""


def imports(source: Any) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or ""


def test_arrows_between_our_packages_point_one_way(sources: Sequence[Any]) -> None:
    wrong = [
        f"{source.at(node)} imports {module}"
        for source in sources
        for node, module in imports(source)
        if (top := module.partition(".")[0]) in OURS
        and top not in OURS[source.path.partition("/")[0]]
    ]

    assert wrong == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_room(sources: Sequence[Any], library: str) -> None:
    wrong = [
        f"{source.at(node)} imports {module}"
        for source in sources
        for node, module in imports(source)
        if module.partition(".")[0] == library
        and not source.path.startswith(ONLY_IN[library])
    ]

    assert wrong == []


def test_imports_are_absolute(sources_and_tests: Sequence[Any]) -> None:
    wrong = [
        source.at(node)
        for source in sources_and_tests
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert wrong == []


def test_package_files_are_empty(sources: Sequence[Any]) -> None:
    wrong = [
        source.path
        for source in sources
        if source.path.endswith("__init__.py") and source.text.strip()
    ]

    assert wrong == []


def test_every_folder_of_a_package_is_one(sources: Sequence[Any]) -> None:
    folders = {source.path.rpartition("/")[0] for source in sources}
    packages = {
        source.path.rpartition("/")[0]
        for source in sources
        if source.path.endswith("/__init__.py")
    }

    assert sorted(folders - packages) == []


def test_annotations_of_ops_stay_checkable(sources: Sequence[Any]) -> None:
    wrong = [
        source.at(node)
        for source in sources
        if source.path.startswith("ops/")
        for node, module in imports(source)
        if module == "__future__"
    ]

    assert wrong == []


def test_tests_are_no_package(sources_and_tests: Sequence[Any]) -> None:
    wrong = [
        source.path
        for source in sources_and_tests
        if source.path.startswith("tests/") and source.path.endswith("__init__.py")
    ]

    assert wrong == []


@pytest.mark.parametrize("module", ["waves", "decode", "vote_sink", "unit_tracker"])
def test_who_plans_reads_or_writes_needs_no_torch(root: Path, module: str) -> None:
    program = f"import sys, pipelines.{module}; print('torch' in sys.modules)"

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True
    )

    assert (ran.returncode, ran.stdout) == (0, "False\n"), ran.stderr
