from ops.losses.warm_up import warm_up


def test_a_warm_up_rises_in_equal_steps_to_one_and_stays() -> None:
    assert [warm_up(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_without_a_warm_up_the_first_step_is_full() -> None:
    assert warm_up(0, 0) == 1.0
