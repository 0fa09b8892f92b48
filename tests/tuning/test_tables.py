"""trials.csv and best.toml."""

import csv
import io
import shlex
import tomllib

import pytest

from fer_core import networks
from fer_core.cli.arguments import parse
from fer_core.recipes import RECIPES, recipe_config
from fer_core.tuning.ranking import winner
from fer_core.tuning.state import load_state
from fer_core.tuning.tables import FINGERPRINTS, settings_toml, trials_csv, write_best, write_trials
from tests.tuning.made_up import OBJECTIVE, confirmation, failed, made_up_search, rows, run_of, trial

RATE = "learning_rate"


def read(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_has_a_line_for_each_training_with_its_settings():
    entries = [
        trial(0, 0.5, values={RATE: 0.001}, parameters=1200, latency_ms=0.25),
        failed(1, values={RATE: 0.02, "optimizer": "sgd"}),
        trial(2, values={RATE: 0.003}),
        confirmation(3, 0, 0.52, values={RATE: 0.001}),
    ]
    lines = read(trials_csv(entries, (RATE, "optimizer")))
    assert list(lines[0]) == [*FINGERPRINTS, RATE, "optimizer"]
    assert [line["number"] for line in lines] == ["0", "1", "2", "3"]
    assert [line["status"] for line in lines] == ["COMPLETED", "FAILED", "RUNNING", "COMPLETED"]
    assert [line["score"] for line in lines] == ["0.5", "", "", "0.52"]
    assert [line[RATE] for line in lines] == ["0.001", "0.02", "0.003", "0.001"]
    assert [line["optimizer"] for line in lines] == ["", "sgd", "", ""]
    assert (lines[0]["parameters"], lines[0]["latency_ms"], lines[3]["of"]) == ("1200", "0.25", "0")


def test_a_message_of_several_lines_stays_in_the_line_of_its_trial():
    text = trials_csv([failed(0, "The process was killed.\nLast lines:\n  Killed")], ())
    assert len(text.splitlines()) == 2
    assert read(text)[0]["message"] == "The process was killed. Last lines: Killed"


def test_what_hyperband_notes_for_itself_is_no_setting():
    text = trials_csv([trial(0, 0.5, values={RATE: 0.001, "tuner/epochs": 3, "tuner/trial_id": "0"})], (RATE,))
    assert "tuner" not in text


def test_the_table_is_written_of_a_search_that_has_not_begun_and_of_one_that_runs(paths):
    search = made_up_search(paths)
    write_trials(search)
    names = [parameter.name for parameter in search.parameters]
    assert search.trials_csv.read_text().splitlines() == [",".join([*FINGERPRINTS, *names])]
    search = made_up_search(paths, [trial(0, 0.5), trial(1)])
    write_trials(search)
    assert [line["score"] for line in read(search.trials_csv.read_text())] == ["0.5", ""]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_settings_of_every_recipe_come_back_from_toml(recipe):
    config = networks.with_all_options(recipe_config(recipe))
    read_back = type(config).checked(tomllib.loads(settings_toml(config)))
    assert networks.with_all_options(read_back) == config


def test_best_toml_is_what_the_training_script_takes(paths):
    search = made_up_search(paths, [trial(0, 0.5), trial(1, 0.6, values={RATE: 0.0123})])
    entries = load_state(search).entries
    run = run_of(search, entries[1], rows(0.6))
    write_best(search, winner(entries, OBJECTIVE))
    request = parse(["--config", str(search.best_toml), "--models-dir", str(paths.models)])
    assert networks.with_all_options(request.config) == run.manifest.config
    assert request.config.learning_rate == 0.0123
    assert tomllib.loads(search.best_toml.read_text())["network_options"] == {"filters": [16, 32, 64]}


def test_best_toml_says_whose_settings_it_has_and_how_to_train_with_them(paths):
    own = [trial(0, 0.5), *(confirmation(1 + seed, 0, 0.5 + seed / 10) for seed in range(3))]
    search = made_up_search(paths, own)
    for entry in own:
        run_of(search, entry, rows(0.5)).update_manifest(config=search.base.model_copy(update={"seed": entry.seed}))
    write_best(search, winner(own, OBJECTIVE))
    text = search.best_toml.read_text()
    assert tomllib.loads(text)["seed"] == 3
    assert "# The settings of run run-3, the winner of search search-1 (trial 0)." in text
    assert "# val_macro_f1 0.6000, the mean of 3 trainings with other seeds. To train with them:" in text
    command = next(line for line in text.splitlines() if line.startswith("# python "))
    assert shlex.split(command)[-2:] == ["--config", str(search.best_toml)]
