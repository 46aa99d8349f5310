"""A function of many items in several threads, its results in the items' order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int
) -> Iterator[Result]:
    """Yield results in the order of the items, with few of them waiting in memory.

    Args:
        function: safe to call from several threads.
        items: taken as they are needed, at most twice the number of threads ahead.
        num_threads: calls at once, at least 1.

    Raises:
        Exception: what the function raises, once the results before it are taken; what
            has not begun by then does not begin.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(num_threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
