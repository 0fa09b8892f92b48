"""What a search leaves to read: trials.csv, a row per training, and best.toml, the winner's settings. No Keras."""

import csv
import io
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w
from filelock import FileLock

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.store.files import write_atomically
from fer_core.store.runs import open_run
from fer_core.tuning.entries import Entry
from fer_core.tuning.folder import Search
from fer_core.tuning.ranking import Standing
from fer_core.tuning.state import load_state

FINGERPRINTS = (
    *("number", "kind", "of", "seed", "run", "status", "score", "epochs", "stopped_early"),
    *("parameters", "latency_ms", "seconds", "asked_utc", "told_utc", "message"),
)
"""The columns of trials.csv before those of the settings; `score` is of the search's objective."""


def write_trials(search: Search) -> None:
    """Writes trials.csv as the search is now. Of several writers, the last to write has read the newest state."""
    with FileLock(search.folder / ".tables.lock"):
        settings = [parameter.name for parameter in search.parameters]
        write_atomically(search.trials_csv, trials_csv(load_state(search).entries, settings))


def trials_csv(entries: Sequence[Entry], settings: Sequence[str]) -> str:
    """Returns a line per trial and confirmation: FACTS, then `settings`; empty is what is not known or not used."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*FINGERPRINTS, *settings], restval="", lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        metadata = {name: getattr(entry, name) for name in FINGERPRINTS}
        writer.writerow({name: _cell(value) for name, value in (entry.settings | metadata).items()})
    return text.getvalue()


def write_best(search: Search, standing: Standing) -> None:
    """Writes best.toml: every setting of the winning run, as `train_emotion_model.py --config` takes them."""
    manifest = open_run(search.paths, standing.best_run(search.spec.objective).run).manifest
    command = ("--recipe", search.spec.recipe, "--config", str(search.best_toml))
    trainings = len(standing.confirmations)
    mean = f", the mean of {trainings} trainings with other seeds" if trainings > 1 else ""
    comment = (
        f"The settings of run {manifest.run_id}, the winner of search {search.id} (trial {standing.trial.number}).",
        f"{search.spec.objective} {standing.score:.4f}{mean}. To train with them:",
        f"python train_emotion_model.py {shlex.join(command)}",
    )
    head = "".join(f"# {line}\n" for line in comment)
    write_atomically(search.best_toml, f"{head}\n{settings_toml(manifest.config)}")


def settings_toml(config: TrainConfig) -> str:
    """Returns every setting as TOML, but for those that are None, which TOML does not know and which is their default.

    Raises ConfigError if what is written would not be read as the same settings.
    """
    text = tomli_w.dumps(_without_none(networks.with_all_options(config).model_dump(mode="json")))
    read = TrainConfig.checked(tomllib.loads(text), where="best.toml")
    if networks.with_all_options(read) != networks.with_all_options(config):
        raise ConfigError("These settings cannot be written as TOML.", hint="The manifest.json of the run has them.")
    return text


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def _cell(value: Any) -> Any:
    """A sentence stays on its line, so that every line of the file is a training."""
    return " ".join(value.split()) if isinstance(value, str) else value
