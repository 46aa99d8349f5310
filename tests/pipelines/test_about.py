from collections.abc import Callable

import pytest

from pipelines.identity import vote_identity
from pipelines.reading import reading_of
from pipelines.recipe import Recipe, Run
from pipelines.resolved import resolved_yaml

SAID = (
    "about.method=DiffSmooth (SmoothAdv)",
    "about.architecture=a small CNN",
    "about.extra_data=false",
    "about.off_the_shelf=true",
    "about.radii=[0, 0.05, 0.15]",
)


def test_what_a_recipe_says_of_itself_changes_no_vote_and_no_claim(
    run_of: Callable[..., Run],
) -> None:
    silent, telling = run_of(), run_of(*SAID)

    assert silent.about != telling.about
    assert vote_identity(silent) == vote_identity(telling)
    assert reading_of(silent, 3).numbers == reading_of(telling, 3).numbers


def test_sigmas_may_say_different_things(recipe_of: Callable[..., Recipe]) -> None:
    said = "about={extra_data: {per_sigma: {0.25: true, 0.5: false}}}"

    recipe = recipe_of("sigma=[0.25, 0.5]", said)

    assert [run.about.extra_data for run in recipe.runs] == [True, False]
    assert "extra_data:\n    per_sigma:" in resolved_yaml(recipe)


@pytest.mark.parametrize("text", ["''", "' '", r'"two\nlines"'])
@pytest.mark.parametrize("field", ["method", "architecture"])
def test_what_fills_no_cell_is_refused(
    run_of: Callable[..., Run], field: str, text: str
) -> None:
    with pytest.raises(ValueError, match=rf"about\.{field}: A table needs a line"):
        run_of(f"about.{field}={text}")


def test_an_unknown_word_is_refused_with_those_that_are_known(
    run_of: Callable[..., Run],
) -> None:
    with pytest.raises(ValueError, match=r"about\.extra.*Did you mean 'extra_data'"):
        run_of("about.extra=true")


@pytest.mark.parametrize("radii", ["[0.5, 0.25]", "[0, 0.25, 0.25]"])
def test_radii_that_do_not_rise_are_refused(
    run_of: Callable[..., Run], radii: str
) -> None:
    with pytest.raises(ValueError, match=r"about\.radii: A table needs a column for"):
        run_of(f"about.radii={radii}")


@pytest.mark.parametrize("radius", ["-0.1", ".inf", ".nan"])
def test_what_is_no_radius_is_refused(run_of: Callable[..., Run], radius: str) -> None:
    with pytest.raises(ValueError, match=r"about\.radii"):
        run_of(f"about.radii=[{radius}]")
