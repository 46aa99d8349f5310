import csv
import io
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from tune.paired import compare, paired_csv, paired_lines
from tune.trial import Trial

MakeTrial = Callable[..., Trial]

RADIUS = 0.5


def certifying(a_trial: MakeTrial, number: int, num: int, **changed: object) -> Trial:
    """Make a trial that certifies the first so many of 40 images at the radius."""
    radii = [0.6] * num + [0.4] * (40 - num)
    return a_trial(number, radii, [True] * 40, **changed)


def test_an_image_counts_if_its_class_is_right_and_its_radius_reached(
    a_trial: MakeTrial,
) -> None:
    winner = a_trial(0, [0.5, 0.9, 0.9, 0.5], [True, True, True, True])
    other = a_trial(1, [0.49, 0.9, 0.9, 0.9], [True, False, True, True])

    (found,) = compare([winner, other], winner, RADIUS)

    assert (found.only_winner, found.only_other, found.num_images) == (2, 0, 4)
    assert (found.p_value, found.other) == (0.5, other)


def test_images_are_matched_by_their_key_and_not_by_their_place(
    a_trial: MakeTrial,
) -> None:
    keys = [f"digits_{index:04d}" for index in range(40)]
    radii = np.random.default_rng(0).random(40)
    shuffled = np.random.default_rng(1).permutation(40)
    winner = a_trial(0, radii, [True] * 40, keys)
    same = a_trial(1, radii[shuffled], [True] * 40, [keys[i] for i in shuffled])

    (found,) = compare([same], winner, RADIUS)

    assert (found.only_winner, found.only_other) == (0, 0)


def test_a_stopped_trial_is_compared_on_the_images_it_has(a_trial: MakeTrial) -> None:
    winner = certifying(a_trial, 0, 40)
    keys = [f"digits_{index:04d}" for index in (39, 0, 20)]
    stopped = a_trial(1, [0.4] * 3, [True] * 3, keys, status="stopped")

    (found,) = compare([winner, stopped], winner, RADIUS)
    *_, line = paired_lines([found], winner, RADIUS)

    assert (found.num_images, found.only_winner, found.p_value) == (3, 3, 0.25)
    assert "fewer than the winner's 40 images: 1 of the other trials, on the 3" in line


def test_who_shares_no_image_with_the_winner_is_left_out(a_trial: MakeTrial) -> None:
    winner = a_trial(0)
    without = a_trial(1, status="failed", curve=None)
    elsewhere = a_trial(2, keys=["a", "b", "c", "d"])

    assert compare([winner, without, elsewhere], winner, RADIUS) == []
    with pytest.raises(ValueError, match="trial 1 is failed and has none"):
        compare([winner], without, RADIUS)


def test_comparisons_are_sorted_and_adjusted_over_all_of_them(
    a_trial: MakeTrial,
) -> None:
    winner = certifying(a_trial, 0, 30)
    counts = [28, 12, 31, 24, 30]  # 24: significant by itself alone
    others = [certifying(a_trial, 1 + i, num) for i, num in enumerate(counts)]

    found = compare([*others, winner], winner, RADIUS)

    p_values = [binomtest(0, abs(30 - n), 0.5).pvalue if n != 30 else 1 for n in counts]
    expected = sorted(p_values)
    assert [one.p_value for one in found] == pytest.approx(expected)
    assert [one.other.number for one in found] == [2, 4, 1, 3, 5]
    assert found[0].p_adjusted == pytest.approx(5 * expected[0])
    assert found[1].p_adjusted == pytest.approx(4 * expected[1])
    assert [one.significant for one in found] == [True] + [False] * 4


def test_csv_says_what_was_found(a_trial: MakeTrial) -> None:
    winner = certifying(a_trial, 0, 30)
    others = [certifying(a_trial, 7, 10, baseline="DDS"), certifying(a_trial, 8, 31)]

    worse, alike = csv.DictReader(
        io.StringIO(paired_csv(compare(others, winner, RADIUS)))
    )

    assert float(worse.pop("p_value")) == pytest.approx(2**-19)
    assert float(worse.pop("p_adjusted")) == pytest.approx(2**-18)
    assert worse == {
        "number": "7",
        "setting": "DDS, sigma 0.25, local 0.25, m 5, N 10,000",
        "images": "40",
        "only_winner": "20",
        "only_other": "0",
        "significant_at_0.05": "True",
    }
    assert alike["number"] == "8"
    assert (alike["only_winner"], alike["only_other"]) == ("0", "1")
    assert (alike["p_value"], alike["significant_at_0.05"]) == ("1.0", "False")


def test_lines_count_who_differs_to_which_side(a_trial: MakeTrial) -> None:
    winner = certifying(a_trial, 0, 20)
    others = [certifying(a_trial, 1 + i, num) for i, num in enumerate([2, 3, 38, 21])]

    first, caution, alike = paired_lines(
        compare(others, winner, RADIUS), winner, RADIUS
    )

    assert "3 of 4 other trials, 2 with fewer certified images and 1 with more" in first
    assert "trial 0 (sigma 0.25, local 0.25, m 5, N 10,000), at radius 0.50" in first
    assert "chosen on these images" in caution
    assert "trial 4 (" in alike
    assert "0 against 1 images, adjusted p 1)." in alike


@pytest.mark.parametrize(("num_alike", "more"), [(10, ""), (13, " and 3 more")])
def test_lines_name_the_ten_that_are_hardest_to_tell_apart(
    a_trial: MakeTrial, num_alike: int, more: str
) -> None:
    winner = certifying(a_trial, 0, 20)
    others = [certifying(a_trial, 1 + i, 20 + i % 4) for i in range(num_alike)]

    *_, line = paired_lines(compare(others, winner, RADIUS), winner, RADIUS)

    assert line.count("trial ") == 10
    assert line.endswith(f"){more}.")
    assert line.index("trial 1 ") < line.index("trial 2 ")
    assert ("trial 4 " in line) == (num_alike == 10)


def test_lines_say_when_nothing_can_be_compared(a_trial: MakeTrial) -> None:
    (line,) = paired_lines([], a_trial(), RADIUS)

    assert line.startswith("No other trial")
