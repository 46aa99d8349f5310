import numpy as np

from ops.certify.looks import Table, look, nothing_read

TABLE = Table(
    radii=np.array([0.0, 0.5]),
    looks=np.array([100, 200, 300]),
    certify=np.array([[30, 80, 130], [-1, 20, 60]]),
    give_up=np.array([[70, 120, 130], [60, 60, 60]]),
    crossing_probability=np.zeros(2),
)


def test_a_class_is_latched_once_and_no_other_gets_its_radii() -> None:
    first = look(nothing_read(1), np.array([[75, 25]]), TABLE, 0)
    then = look(first, np.array([[150, 50]]), TABLE, 1)
    other = look(first, np.array([[75, 125]]), TABLE, 1)  # the second takes over

    assert (first.latched_class[0], first.num_radii[0]) == (0, 1)
    assert (then.latched_class[0], then.num_radii[0], then.stopped[0]) == (0, 1, False)
    assert (other.latched_class[0], other.num_radii[0]) == (0, 1)
    assert other.gave_up[0]


def test_a_radius_is_tested_only_if_the_smaller_ones_hold() -> None:
    table = Table(
        TABLE.radii,
        TABLE.looks,
        np.array([[10, 20, 30], [40, 60, 90]]),  # as no table would have it
        TABLE.give_up,
        TABLE.crossing_probability,
    )

    found = look(nothing_read(1), np.array([[70, 30]]), table, 0)

    assert (found.latched_class[0], found.num_radii[0]) == (-1, 0)


def test_draws_without_a_class_count_as_failures() -> None:
    found = look(nothing_read(2), np.array([[70, 0], [69, 0]]), TABLE, 0)

    assert found.num_radii.tolist() == [1, 0]


def test_who_stopped_is_not_looked_at_again() -> None:
    stopped = look(nothing_read(1), np.array([[10, 20]]), TABLE, 0)
    assert stopped.stopped[0]
    assert stopped.gave_up[0]

    again = look(stopped, np.array([[199, 1]]), TABLE, 1)

    assert (again.num_radii[0], again.num_votes[0]) == (0, 100)


def test_the_label_decides_only_when_to_stop() -> None:
    votes, label = np.array([[75, 25]]), np.array([1])

    plain = look(nothing_read(1), votes, TABLE, 0)
    aware = look(nothing_read(1), votes, TABLE, 0, label=label)

    assert (plain.stopped[0], aware.stopped[0]) == (False, True)
    assert plain.latched_class == aware.latched_class
    assert plain.num_radii == aware.num_radii
