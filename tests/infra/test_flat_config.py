from infra.flat_config import flatten


def test_names_are_dotted_and_values_are_text() -> None:
    nested = {
        "seed": 0,
        "sigma": [0.25, 0.5],
        "local": {"sigma": {"per_sigma": {0.25: 0.12}}, "noise": "fixed"},
        "tracking": {"uri": None},
        "empty": {},
    }
    assert flatten(nested) == {
        "seed": "0",
        "sigma": "[0.25, 0.5]",
        "local.sigma.per_sigma.0.25": "0.12",
        "local.noise": "fixed",
        "tracking.uri": "null",
        "empty": "{}",
    }


def test_long_values_are_cut() -> None:
    assert len(flatten({"a": "x" * 10_000})["a"]) == 6000
