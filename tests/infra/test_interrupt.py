import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.interrupt import Interrupted, interruptible


def test_another_thread_ends_what_the_main_thread_waits_for() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    began = time.monotonic()

    def wait_in_vain() -> None:
        with interruptible() as interrupt:
            threading.Timer(0.1, interrupt).start()
            threading.Event().wait(30)

    with pytest.raises(Interrupted):
        wait_in_vain()

    assert time.monotonic() - began < 10
    assert signal.getsignal(signal.SIGUSR1) is before


def test_libraries_that_catch_errors_let_it_pass() -> None:
    assert not issubclass(Interrupted, Exception)


def test_a_body_of_another_thread_is_left_alone() -> None:
    def body() -> str:
        with interruptible() as interrupt:
            interrupt()
            return "whole"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(body).result() == "whole"
