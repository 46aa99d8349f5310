import pyarrow as pa
import pytest

from pipelines.curve import Curve
from pipelines.run_names import Reported, told_apart


def out(
    name: str, *methods: str, url: str = "", rule: str = "fixed", sigma: float = 0.25
) -> Reported:
    """Return an OUT with a curve for each method, or one named by its recipe."""
    curves = [
        Curve(
            run=run,
            sigma=sigma * (index + 1),
            certificates=pa.table({}),
            dataset="digits",
            num_estimate=100,
            failure_probability=1e-3,
            rule=rule,
            seconds={},
        )
        for index, run in enumerate(methods or [name])
    ]
    return Reported(name, url or f"runs/{name}", curves)


@pytest.mark.parametrize(
    ("outs", "names"),
    [
        ([out("a"), out("b")], ["a", "b"]),
        ([out("a", "MACER"), out("b")], ["MACER", "b"]),
        ([out("a", "MACER"), out("b", "MACER")], ["a", "b"]),
        ([out("a", "X"), out("b", "X"), out("c", "Y")], ["a", "b", "Y"]),
        ([out("a", "b"), out("b")], ["a", "b"]),
        ([out("a", url="x/1"), out("a", url="x/2")], ["1", "2"]),
        ([out("a", "X", url="x/1"), out("a", "Y", url="x/2")], ["X", "Y"]),
        ([out("a", "X", url="x/1"), out("a", "X", url="x/2")], ["1", "2"]),
        ([out("a", "X", url="x/1"), out("a", "X", url="y/1")], ["x/1", "y/1"]),
        ([out("a", "X", url="x/1"), out("a", url="x/2")], ["X", "2"]),
        ([out("a", "2", url="x/1"), out("a", url="x/2")], ["1", "2"]),
        ([out("a", "X", "Y"), out("b", "Y")], ["X", "a", "b"]),
    ],
)
def test_a_method_names_what_is_not_called_so_elsewhere(
    outs: list[Reported], names: list[str]
) -> None:
    assert [curve.run for curve in told_apart(outs)] == names


def test_logs_of_one_name_at_several_sigmas_stay_one_run_beside_a_method() -> None:
    logs = [out("theirs", rule="imported", sigma=sigma) for sigma in (0.25, 0.5)]

    curves = told_apart([*logs, out("ours", "DDS")])

    assert [curve.run for curve in curves] == ["theirs", "theirs", "DDS"]
