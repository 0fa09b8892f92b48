"""`Search`: one search's folder under models/searches, and its plan: what was asked for and what follows from that.

The plan never changes. How far the search is, is in `state.py`.
"""

import functools
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, NoSuchArtifactError, did_you_mean
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import full_disk_named, read_json, sweep, sync, temporary_beside, write_atomically
from fer_core.store.manifest import Timestamp, is_run_id
from fer_core.training.starting import with_fixed_models
from fer_core.tuning.entries import SearchState
from fer_core.tuning.ranking import ranked
from fer_core.tuning.space import Parameter
from fer_core.tuning.spec import STORED, SearchSpec, base_config, first_values, space_of
from fer_core.tuning.state import load_state

_WARM_STARTS = 5
"""So many of an earlier search's settings are tried first: enough to hold on to what it found."""


class Plan(BaseModel):
    """What a search was asked for and what follows from it, fixed when it is made, whatever the code says later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created_utc: Timestamp
    spec: SearchSpec
    base: TrainConfig
    """What every trial starts from."""
    parameters: tuple[Parameter, ...]
    first_values: tuple[dict[str, Any], ...]
    """What is tried before the oracle is asked; the recipe's own values come first."""


@dataclass(frozen=True)
class Search:
    """A search on disk."""

    folder: Path
    paths: Paths

    @property
    def id(self) -> str:
        return self.folder.name

    @functools.cached_property
    def plan(self) -> Plan:
        """What is searched and how. Raises ArtifactError if the file is missing or not ours."""
        content = read_json(self.spec_json, f"plan of search {self.id}")
        try:
            return Plan.model_validate(content, context=STORED)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "JSON"
            raise ArtifactError(
                f"{self.spec_json} is no plan of a search of this version ({field}: {first['msg']}).",
                hint="Restore it, or start a new search.",
            ) from None

    @property
    def spec(self) -> SearchSpec:
        return self.plan.spec

    @property
    def base(self) -> TrainConfig:
        return self.plan.base

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.plan.parameters

    @property
    def first_values(self) -> tuple[dict[str, Any], ...]:
        return self.plan.first_values

    @property
    def spec_json(self) -> Path:
        return self.folder / "spec.json"

    @property
    def state_json(self) -> Path:
        return self.folder / "state.json"

    @property
    def state_backup(self) -> Path:
        return self.folder / "state.json.bak"

    @property
    def rungs_json(self) -> Path:
        return self.folder / "rungs.json"

    @property
    def trials_csv(self) -> Path:
        return self.folder / "trials.csv"

    @property
    def best_toml(self) -> Path:
        return self.folder / "best.toml"

    @property
    def plots(self) -> Path:
        return self.folder / "plots"

    def run_folder(self, run_id: str) -> Path:
        """Returns where the run of a trial lies, also before there is one."""
        return self.paths.models / "runs" / run_id


def create_search(paths: Paths, spec: SearchSpec, *, search_id: str | None = None, clock: Clock = utc_now) -> Search:
    """Returns a new search, or the one of that id if it is there already. Its folder appears whole.

    Raises:
        ConfigError: for settings that cannot be searched. ArtifactError: `warm_start` is no search. DiskFullError.
    """
    folder = paths.models / "searches" / _checked_name(search_id or new_search_id(spec, clock))
    if not (folder / "spec.json").is_file():
        _appear(folder, _plan(paths, spec, utc_text(clock())))
    return Search(folder, paths)


def open_search(paths: Paths, search_id: str) -> Search:
    """Returns an existing search. Raises ArtifactError if there is none of that id, or it is no id."""
    folder = paths.models / "searches" / _checked_name(search_id)
    if not folder.is_dir():
        raise NoSuchArtifactError(
            f"There is no search {search_id!r} in {folder.parent}.", hint=_others(paths, search_id)
        )
    return Search(folder, paths)


def list_searches(paths: Paths) -> list[Search]:
    """Returns all searches, oldest first."""
    return [Search(folder, paths) for folder in sorted((paths.models / "searches").glob("[!.]*")) if folder.is_dir()]


def new_search_id(
    spec: SearchSpec, clock: Clock = utc_now, random_mark: Callable[[], str] = lambda: secrets.token_hex(2)
) -> str:
    """Returns an id that sorts by time and says what it is: 20260131-140212-attention-random-3f9a."""
    return f"{clock():%Y%m%d-%H%M%S}-{spec.recipe}-{spec.oracle}-{random_mark()}"


def _plan(paths: Paths, spec: SearchSpec, timestamp: str) -> Plan:
    spec = spec.model_copy(update={"data": _whole_path(spec.data)})
    return Plan(
        created_utc=timestamp,
        spec=spec,
        base=with_fixed_models(base_config(spec), paths),
        parameters=space_of(spec),
        first_values=first_values(spec, _earlier_values(paths, spec)),
    )


def _whole_path(data: str | None) -> str | None:
    """Trials start in other working folders than the search was asked for in."""
    path = Path(data or "").expanduser()
    return data if data in (None, "sample", "kaggle") or not path.exists() else str(path.resolve())


def _earlier_values(paths: Paths, spec: SearchSpec) -> list[dict[str, Any]]:
    if spec.warm_start is None:
        return []
    earlier = open_search(paths, spec.warm_start)
    best = ranked(load_state(earlier).entries, earlier.spec.objective)
    return [entry.settings for entry in best[:_WARM_STARTS]]


def _appear(folder: Path, plan: Plan) -> None:
    """Makes the folder in one instant; another process may have made it meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():  # a job's
        write_atomically(folder / "state.json", SearchState().to_json())
        write_atomically(folder / "spec.json", plan.model_dump_json(indent=2) + "\n")
        return
    sweep(folder.parent)
    temporary = temporary_beside(folder)
    try:
        with full_disk_named(folder):
            temporary.mkdir()
            write_atomically(temporary / "spec.json", plan.model_dump_json(indent=2) + "\n")
            write_atomically(temporary / "state.json", SearchState().to_json())
            temporary.rename(folder)
            sync(folder.parent)
    except OSError:
        if not (folder / "spec.json").is_file():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checked_name(name: str) -> str:
    if not is_run_id(name):
        raise ArtifactError(f"{name[:200]!r} is no search id: it has letters, digits, '-', '_' and '.' only.")
    return name


def _others(paths: Paths, search_id: str) -> str:
    ids = [search.id for search in list_searches(paths)]
    if not ids:
        return "There are no searches yet; `python -m jobs submit tune` starts one."
    hint = did_you_mean(search_id, ids)
    return hint if hint.startswith("Did") else f"The newest are: {', '.join(ids[:-6:-1])}."
