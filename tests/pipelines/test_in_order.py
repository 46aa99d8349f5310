import threading
import time

import pytest

from pipelines.in_order import in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def late_if_even(item: int) -> int:
        time.sleep(0.002 if item % 2 else 0.005)
        return item * item

    assert list(in_order(late_if_even, range(40), 4)) == [i * i for i in range(40)]


def test_a_slow_item_holds_the_others_back() -> None:
    started, let_go = [], threading.Event()

    def read(item: int) -> int:
        started.append(item)
        if item == 0:
            let_go.wait(10)
        return item

    taken: list[int] = []
    reader = threading.Thread(
        target=lambda: taken.extend(in_order(read, iter(range(1000)), 4))
    )
    reader.start()
    time.sleep(0.2)
    assert len(started) <= 8
    let_go.set()
    reader.join()
    assert taken == list(range(1000))


def test_calls_run_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=10)
    assert list(in_order(lambda _: together.wait() >= 0, range(4), 4)) == [True] * 4


def test_a_failure_comes_after_the_results_before_it() -> None:
    def fail_at_five(item: int) -> int:
        if item == 5:
            raise OSError("item 5")
        return item

    results = in_order(fail_at_five, range(1000), 2)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="item 5"):
        next(results)


def test_after_a_failure_what_has_not_begun_does_not_begin() -> None:
    started, let_go = [], threading.Event()

    def fail_at_once(item: int) -> None:
        started.append(item)
        if item == 0:
            raise OSError("item 0")
        let_go.wait(10)

    threading.Timer(0.3, let_go.set).start()
    with pytest.raises(OSError, match="item 0"):
        next(in_order(fail_at_once, range(1000), 2))
    # Two may run when the first has failed; item 3, which waits by then, never does.
    assert sorted(started) in ([0, 1], [0, 1, 2])
