import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

NO_ROOMS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core"}
NO_SYMBOLS = {
    "eps", "epsilon", "alpha", "sigma_prime", "sigma2", "noise_sd", "N0", "nA",
    "pABar", "cAHat", "x2",
}  # fmt: skip
"""Names that mean several things in the papers, or nothing."""

MAY_PRINT = {"pipelines/summary.py"}


def names(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield the names a file gives or uses, keywords of others' functions apart."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node, node.id
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node, node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node, node.attr


def test_no_room_is_for_what_has_no_name(sources_and_tests: Sequence[Any]) -> None:
    wrong = [
        source.path
        for source in sources_and_tests
        if NO_ROOMS & set(PurePosixPath(source.path).with_suffix("").parts)
    ]

    assert wrong == []


def test_symbols_that_mean_several_things_are_not_used(sources: Sequence[Any]) -> None:
    wrong = [
        f"{source.at(node)} {name}"
        for source in sources
        for node, name in names(source.tree)
        if name in NO_SYMBOLS
    ]

    assert wrong == []


def test_no_process_wide_seed_is_set(sources: Sequence[Any]) -> None:
    wrong = [
        source.at(node)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"manual_seed", "manual_seed_all"}
        and source.path != "ops/global_noise.py"  # for libraries; puts it back
    ]

    assert wrong == []


def test_no_error_is_swallowed_whole(sources_and_tests: Sequence[Any]) -> None:
    wrong = [
        source.at(node)
        for source in sources_and_tests
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _names_exception(node.type))
    ]

    assert wrong == []


def _names_exception(caught: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"}
        for node in ast.walk(caught)
    )


def test_only_the_summary_prints(sources: Sequence[Any]) -> None:
    wrong = [
        source.at(node)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and source.path not in MAY_PRINT
    ]

    assert wrong == []


def test_nothing_is_left_for_later(sources_and_tests: Sequence[Any]) -> None:
    later = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
    wrong = [
        f"{source.path}:{number}"
        for source in sources_and_tests
        for number, line in enumerate(source.text.splitlines(), 1)
        if later.search(line)
    ]

    assert wrong == []


def test_a_rule_is_set_aside_only_with_its_reason(
    sources_and_tests: Sequence[Any],
) -> None:
    bare = re.compile(r"#\s*(noqa(: ?[A-Z0-9, ]+)?|pyright: ignore(\[\w+\])?)\s*$")
    wrong = [
        f"{source.path}:{number}"
        for source in sources_and_tests
        for number, line in enumerate(source.text.splitlines(), 1)
        if bare.search(line)
    ]

    assert wrong == []
