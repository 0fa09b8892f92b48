"""What people say about a run: kept beside it, and never in the way."""

import pytest

from fer_core.errors import ConfigError
from fer_core.store.run import NOTES_FILE, RunNotes, notes_of, save_notes
from tests.jobs.parts import make_finished_run


def test_name_tags_and_notes_are_kept_beside_a_finished_run_whose_manifest_does_not_change(paths):
    run = make_finished_run(paths)
    before = (run.folder / "manifest.json").read_bytes()
    assert notes_of(run) == RunNotes()
    saved = save_notes(
        run, name=" Best\nso far ", tags=["paper", " ", "paper", "7 classes "], notes=" a\nb ", archived=True
    )
    assert saved == RunNotes(name="Best so far", tags=("paper", "7 classes"), notes="a\nb", archived=True)
    assert notes_of(run) == saved
    assert (run.folder / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"tags": "no list"}', '{"name": "%s"}' % ("x" * 200)])
def test_notes_that_cannot_be_read_hide_nothing(paths, content):
    run = make_finished_run(paths)
    (run.folder / NOTES_FILE).write_text(content)
    assert notes_of(run) == RunNotes()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "x" * 101}, "The name of a run may have at most 100 characters"),
        ({"tags": ["x" * 41]}, "20 tags of 40 characters"),
        ({"tags": map(str, range(21))}, "20 tags of 40 characters"),
        ({"notes": "x" * 10_001}, "10,000 characters"),
    ],
)
def test_what_is_too_long_is_refused_and_what_was_there_stays(paths, wrong, says):
    run = make_finished_run(paths)
    usual = {"name": "first", "tags": (), "notes": "", "archived": False}
    save_notes(run, **usual)
    with pytest.raises(ConfigError, match=says):
        save_notes(run, **usual | wrong)
    assert notes_of(run).name == "first"
