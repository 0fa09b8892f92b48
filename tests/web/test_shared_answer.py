"""What takes its time is asked once, however many want it."""

import threading
from concurrent.futures import ThreadPoolExecutor

from fer_core.web.job_detail import SharedAnswer


def test_many_who_ask_at_once_ask_once():
    asked = []
    may_answer = threading.Event()

    def ask() -> int:
        asked.append(1)
        may_answer.wait(10)
        return len(asked)

    shared = SharedAnswer(ask, fresh_seconds=60)
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(shared.get) for _ in range(80)]
        may_answer.set()
        assert {answer.result(10) for answer in answers} == {1}
    assert len(asked) == 1


def test_an_older_answer_serves_while_a_newer_one_is_asked_for():
    now, answers, is_slow, may_answer = [0.0], iter("abc"), threading.Event(), threading.Event()

    def ask() -> str:
        if now[0]:
            is_slow.set()
            may_answer.wait(10)
        return next(answers)

    shared = SharedAnswer(ask, fresh_seconds=2, clock=lambda: now[0])
    assert (shared.get(), shared.get()) == ("a", "a")
    now[0] = 3.0
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shared.get)
        assert is_slow.wait(10)
        assert shared.get() == "a"
        may_answer.set()
        assert slow.result(10) == "b"
    assert shared.get() == "b"
