"""`trial.json` in the run of each trial: its entry, so that a search whose state is lost is rebuilt from the runs."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from fer_core.errors import ArtifactError
from fer_core.store.files import read_whole, write_atomically
from fer_core.tuning.entries import Entry, SearchState

if TYPE_CHECKING:
    from fer_core.tuning.folder import Search

FILE_NAME = "trial.json"


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    search: str
    data_fingerprint: str | None
    code_fingerprint: str | None
    entry: Entry


def write_note(search: "Search", state: SearchState, number: int) -> None:
    """Writes the entry into its run's folder, where there is one. Raises DiskFullError."""
    entry = state.entries[number]
    path = search.run_folder(entry.run) / FILE_NAME
    if not path.parent.is_dir():
        return
    note = _Note(
        search=search.id,
        data_fingerprint=state.data_fingerprint,
        code_fingerprint=state.code_fingerprint,
        entry=entry,
    )
    content = note.model_dump_json(indent=2).encode() + b"\n"
    if not path.is_file() or path.read_bytes() != content:
        write_atomically(path, content)


def completed_by_notes(search: "Search", state: SearchState) -> SearchState:
    """Returns an older state with all that the runs of the search know more.

    Raises:
        ArtifactError: an entry is in no file any more.
    """
    for note in sorted(_notes(search), key=lambda note: note.entry.number):
        _take(search, state, note)
    if state.entries:
        state.started_utc = state.started_utc or state.entries[0].asked_utc
    state.failed_in_a_row = _failed_in_a_row(state)
    return state


def _notes(search: "Search") -> list[_Note]:
    notes = (_read(path) for path in (search.paths.models / "runs").glob(f"[!.]*/{FILE_NAME}"))
    return [note for note in notes if note is not None and note.search == search.id]


def _read(path) -> _Note | None:
    try:
        return _Note.model_validate_json(read_whole(path))
    except (OSError, ValueError):  # as good as none; if its entry is nowhere else, that is found out by the gap
        return None


def _take(search: "Search", state: SearchState, note: _Note) -> None:
    number = note.entry.number
    if number > len(state.entries):
        raise ArtifactError(
            f"The state of search {search.id} is lost, and trial {len(state.entries)} is in no run.",
            hint=f"Restore {search.state_json}, or start a new search with warm_start {search.id!r}.",
        )
    if number == len(state.entries):
        state.entries.append(note.entry)
    elif state.entries[number].status == "RUNNING":
        state.entries[number] = note.entry
    known: dict[str, Any] = {"data_fingerprint": note.data_fingerprint, "code_fingerprint": note.code_fingerprint}
    for name, value in known.items():
        setattr(state, name, getattr(state, name) or value)


def _failed_in_a_row(state: SearchState) -> int:
    told = [entry for entry in state.trials if entry.status != "RUNNING"]
    count = 0
    for entry in sorted(told, key=lambda entry: (entry.told_utc or "", entry.number)):
        count = count + 1 if entry.status == "FAILED" else 0
    return count
