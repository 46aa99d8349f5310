"""Ends what the main thread waits for, from another thread."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(BaseException):
    """Another thread has ended the body of :func:`interruptible`.

    No Exception, so that it passes through libraries as Ctrl-C does.
    """


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Let another thread end the body, which then raises :class:`Interrupted`.

    Yields:
        What ends the body; it does nothing where the body is not the main thread's,
        since no other can be interrupted. Not to be called after the body.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, _interrupt)
    try:
        yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def _interrupt(*_: object) -> None:
    raise Interrupted
