"""Work in the background is done once, kept, and done again where it failed or its source is another one."""

import threading

from fer_core.errors import DatasetError
from fer_core.web import background
from fer_core.web.background import MOST_AT_ONCE, MOST_KEPT, Background
from tests.jobs.conftest import wait_until


def done(work):
    wait_until(lambda: work.is_done)
    return work


def test_work_says_how_far_it_is_and_is_done_once():
    works, goes_on, begun = Background(), threading.Event(), []

    def do(report):
        begun.append(1)
        report("half of it")
        goes_on.wait(10)
        return "found"

    work = works.get("a", do)
    wait_until(lambda: work.progress == "half of it")
    assert works.get("a", do) is work
    goes_on.set()
    assert done(work).result == "found"
    assert works.get("a", do).result == "found"
    assert done(works.get("a", do, stamp="changed")) is not work
    assert len(begun) == 2


def test_a_failure_is_a_sentence_and_is_tried_again(monkeypatch):
    works = Background()

    def fail(report):
        raise DatasetError("It is gone.", hint="Bring it back.")

    def break_down(report):
        raise ZeroDivisionError

    failed = done(works.get("a", fail))
    assert (failed.problem, failed.hint) == ("It is gone.", "Bring it back.")
    assert done(works.get("b", break_down)).problem == "This could not be read."
    assert works.get("a", lambda report: "found") is failed
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.0)
    assert done(works.get("a", lambda report: "found")).result == "found"


def test_few_are_done_at_once_and_few_are_kept():
    works, goes_on = Background(), threading.Event()
    first = [works.get(f"slow {number}", lambda report: goes_on.wait(10)) for number in range(MOST_AT_ONCE + 1)]
    wait_until(lambda: sum(work.progress == "beginning" for work in first) == MOST_AT_ONCE)
    assert sum(work.progress.startswith("waiting") for work in first) == 1
    goes_on.set()
    for number in range(MOST_KEPT + 2):
        done(works.get(f"quick {number}", lambda report: 1))
    assert works.look("slow 0") is None
    assert works.look(f"quick {MOST_KEPT + 1}").result == 1
