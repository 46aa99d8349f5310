import ast
from collections.abc import Sequence
from typing import Any

MOST_LINES_IN_A_FILE = 250
MOST_LINES_IN_A_FUNCTION = 50
MOST_PARAMETERS = 5

EXCEPTIONS = {
    "ops/noise.py": {"draw"},  # the one place that takes a distribution as well
}
"""Functions with more parameters, each with its reason."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_files_are_short(sources_and_tests: Sequence[Any]) -> None:
    wrong = [
        f"{source.path}:{lines} lines"
        for source in sources_and_tests
        if (lines := len(source.text.splitlines())) > MOST_LINES_IN_A_FILE
        and not source.path.endswith("test_refusals.py")  # one table, one row a case
    ]

    assert wrong == []


def test_functions_are_short(sources_and_tests: Sequence[Any]) -> None:
    wrong = [
        f"{source.at(node)} {node.name}"
        for source in sources_and_tests
        for node in ast.walk(source.tree)
        if isinstance(node, FUNCTIONS)
        and (node.end_lineno or 0) - node.lineno + 1 > MOST_LINES_IN_A_FUNCTION
    ]

    assert wrong == []


def test_functions_take_few_parameters_by_position(
    sources_and_tests: Sequence[Any],
) -> None:
    wrong = [
        f"{source.at(node)} {node.name}"
        for source in sources_and_tests
        for node in ast.walk(source.tree)
        if isinstance(node, FUNCTIONS)
        and len(_positional(node)) > MOST_PARAMETERS
        and node.name not in EXCEPTIONS.get(source.path, ())
        and not node.name.startswith("test_")  # a parameter is a column of its table
    ]

    assert wrong == []


def _positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    return [name for name in names if name not in {"self", "cls"}]
