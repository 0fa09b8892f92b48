"""`python -m fer_core.cli.retrain`: the whole retraining as a job starts it; it is judged in a process of its own."""

import json
from functools import partial

import pytest

from fer_core.cli.retrain import main
from fer_core.evaluation.metrics import Evaluation
from fer_core.store.files import read_json
from fer_core.store.promotion import current
from fer_core.store.runs import list_runs, open_run
from fer_core.training.deciding import Decision
from tests.cli.conftest import save_noise
from tests.script import run_here, run_script
from tests.training.parts import killed


def test_a_killed_retraining_goes_on_is_judged_in_a_fresh_process_and_promoted(in_use, paths, retrain, capfd):
    for number in range(3):
        save_noise(paths.inbox / "happy" / f"{number}.png", 900 + number)
    arguments = _spec("promoted", epochs=10, learning_rate=0.003)
    with killed(epoch=2):
        retrain(*arguments)
    run = open_run(paths, "promoted")
    assert run.state.status == "RUNNING"
    answer = retrain(*arguments)
    assert answer.code == 0, answer.err
    assert "Goes on after epoch" in answer.out
    assert capfd.readouterr().out.splitlines()[-1] == "Run promoted is put into use."  # which the other process says
    assert (current(paths).run, current(paths).previous) == ("promoted", (in_use.id,))
    decision = Decision.model_validate(read_json(run.folder / "promotion.json", "decision"))
    assert decision.figures["macro_f1"]["interval"][0] > 0
    evaluation = Evaluation.from_json(read_json(run.evaluation_json, "evaluation"))
    assert decision.figures["reloaded"]["accuracy"] == {"recorded": evaluation.accuracy, "found": evaluation.accuracy}
    assert run.audit_json.is_file()


@pytest.fixture
def retrain(paths, monkeypatch):
    """A function that does so in this process, and returns exit code, output and errors."""
    monkeypatch.setenv("FER_INBOX", str(paths.inbox))
    return partial(run_here, paths=paths, main=main)


def test_with_too_few_new_images_the_process_ends_well_and_makes_nothing(in_use, paths):
    spec = json.dumps({"min_new_images": 50, "queue": "gpu"})
    script, environment = ("-m", "fer_core.cli.retrain"), {"FER_INBOX": str(paths.inbox)}
    answer = run_script("--spec", spec, "--run", "none", paths=paths, script=script, environment=environment)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "Nothing is trained: 0 new images, and a retraining waits for 50."
    assert [run.id for run in list_runs(paths)] == [in_use.id]


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (("--spec", '{"min_gian": 1}'), "Error: --spec: there is no setting 'min_gian'.", "Did you mean 'min_gain'?"),
        (("--spec", "{"), "Error: --spec cannot be read: ", 'It is like {"min_new_images": 50}.'),
        (("--spce", "{}"), "Error: There is no setting '--spce'.", "Did you mean '--spec'?"),
    ],
)
def test_what_is_wrong_is_said_in_two_lines(retrain, arguments, problem, hint):
    answer = retrain(*arguments)
    assert answer.code == 2
    assert answer.problem.startswith(problem)
    assert answer.hint == hint


def _spec(run: str, **settings: object) -> tuple[str, ...]:
    # On 84 test images calibration is a matter of chance.
    spec = {"settings": settings, "max_calibration_loss": 1}
    return ("--job", f"job-{run}", "--spec", json.dumps(spec), "--run", run)
