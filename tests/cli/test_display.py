"""What a training shows: a bar for people, and plain lines, not too many, where the output goes to a file."""

import io

import pytest
from rich.console import Console

from fer_core.cli.training import LINE_SECONDS, Display

PROGRESS = {"epoch": 1, "epochs": 4, "step": 10, "steps": 40, "loss": 1.5, "accuracy": 0.25, "images_per_second": 1234}
EPOCH = {"epoch": 1, "loss": 1.2, "accuracy": 0.5, "seconds": 8.0, "images_per_second": 1234.0}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock):
    """A display whose output goes to a file, and that file."""
    file = io.StringIO()
    with Display(Console(file=file, width=80), clock=clock) as display:
        yield display, file


def test_a_log_file_gets_a_line_within_an_epoch_only_now_and_then(log, clock):
    display, file = log
    for second in range(2 * int(LINE_SECONDS)):
        clock.now = second
        display("progress", PROGRESS)
    assert file.getvalue() == "epoch   1  step 10 of 40  loss 1.5000  accuracy 25.0%  1,234 images/s\n"


def test_a_log_file_gets_a_line_for_each_epoch_and_event(log):
    display, file = log
    display("event", {"text": "A sentence with [brackets] that is longer than the eighty columns of a narrow window."})
    display("epoch", EPOCH)
    assert file.getvalue().splitlines() == [
        "A sentence with [brackets] that is longer than the eighty columns of a narrow window.",
        "epoch   1  loss 1.2000  accuracy 50.0%  8.0 s  1,234 images/s",
    ]


def test_the_time_left_comes_from_the_pace_of_the_epochs_before(log, clock):
    display, file = log
    display("epoch", EPOCH)
    clock.now += LINE_SECONDS
    display("progress", PROGRESS | {"epoch": 2, "step": 20})
    assert file.getvalue().splitlines()[-1].endswith("at most 20 s left")


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, color_system=None)
    with Display(console) as display:
        display("progress", PROGRESS)
    shown = file.getvalue()
    assert "epoch 1/4  loss 1.500  accuracy 25.0%  1,234 images/s" in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h\r\x1b[1A\x1b[2K"))
