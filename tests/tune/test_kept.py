import pytest

from tune.chosen import Chosen
from tune.kept import identity_of
from tune.study import load_study

RECIPE = {
    "data": {"source": "digits", "split": "tune"},
    "sigma": [0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.1, "num": 1},
    "study": {
        "space": {"local.num": [1, 2]},
        "objective": {"kind": "certified_accuracy", "radius": 0.25},
        "held_out": {"split": "test"},
    },
}


def chosen_of(**changed: object) -> Chosen:
    study, rest = load_study({**RECIPE, **changed}, "small")
    return Chosen(rest, "small", study)


@pytest.mark.parametrize(
    "changed", [{"about": {"method": "DDS"}}, {"tracking": {"uri": "sqlite:///x.db"}}]
)
def test_a_study_goes_on_under_another_name_and_another_tracking(
    changed: dict[str, object],
) -> None:
    assert identity_of(chosen_of(**changed), []) == identity_of(chosen_of(), [])


def test_a_study_does_not_go_on_under_another_seed() -> None:
    assert identity_of(chosen_of(seed=1), []) != identity_of(chosen_of(), [])
