"""What is made of readings: shares, episodes, reactions, intervals, agreement."""

import numpy as np
import pandas
import pytest

from fer_core.errors import SourceError
from fer_core.study.agreement import agreement_table, icc, kappa, read_times
from fer_core.study.people import (
    block_length,
    episodes_table,
    estimate,
    people_table,
    reactions_table,
    transitions_table,
)

LABELS = ("happy", "sad")


def readings(shown: str, *, person: int = 1, step: float = 0.1, file: str = "a.mp4") -> pandas.DataFrame:
    """h: happy, s: sad, u: unsure (happy), a dot: not seen."""
    rows = []
    for frame, letter in enumerate(shown):
        if letter == ".":
            continue
        happy = {"h": 0.9, "s": 0.2, "u": 0.5}[letter]
        label = "sad" if letter == "s" else "happy"
        own = {"file": file, "seconds": frame * step, "frame": frame, "person": person, "label": label}
        rows.append(
            own | {"confidence": max(happy, 1 - happy), "unsure": letter == "u", "happy": happy, "sad": 1 - happy}
        )
    return pandas.DataFrame(rows)


def test_shares_are_of_the_time_that_a_person_was_seen():
    table = people_table(readings("hhhhhh.......ss" + "uu"), LABELS).set_index("emotion")
    assert table["seconds"].tolist() == [1.0] * 3
    assert table["share"].to_dict() == pytest.approx({"happy": 0.6, "sad": 0.2, "unsure": 0.2})
    assert table.loc["happy", "mean"] == pytest.approx((6 * 0.9 + 2 * 0.2 + 2 * 0.5) / 10)


def test_episodes_begin_with_another_emotion_and_after_a_gap_and_transitions_leave_out_what_was_unsure():
    episodes = episodes_table(readings("hhhuus.....sshh"))
    assert episodes["emotion"].tolist() == ["happy", "unsure", "sad", "sad", "happy"]
    assert episodes["start"].tolist() == pytest.approx([0, 0.3, 0.5, 1.1, 1.3])
    assert episodes["seconds"].tolist() == pytest.approx([0.3, 0.2, 0.1, 0.2, 0.2])
    found = transitions_table(episodes).set_index(["from", "to"])["count"].to_dict()
    assert found == {("happy", "sad"): 1, ("sad", "happy"): 1}


def test_a_change_after_the_baseline_and_at_a_marker_has_an_interval_that_holds_it():
    seen = readings("s" * 100 + "h" * 100)
    happy = people_table(seen, LABELS, baseline_seconds=10).iloc[0]
    assert happy["change"] == pytest.approx(0.7)
    markers = pandas.DataFrame([{"file": "a.mp4", "seconds": 10.0, "name": "film"}])
    reaction = reactions_table(seen, markers, LABELS, window_seconds=3).iloc[0]
    assert (reaction["marker"], reaction["emotion"]) == ("film", "happy")
    assert reaction["change"] == pytest.approx(0.7) and reaction["low"] <= 0.7 <= reaction["high"]


def test_intervals_hold_the_mean_of_a_series_that_depends_on_itself_about_as_often_as_they_say():
    rng, held = np.random.default_rng(3), 0
    for _ in range(60):
        series = np.zeros(600)
        for place in range(1, len(series)):
            series[place] = 0.9 * series[place - 1] + rng.normal()
        found = estimate(series[:, np.newaxis])
        held += found.low[0] <= 0 <= found.high[0]
    assert 48 <= held <= 60  # 95 % of 60 are 57; without blocks some 20 would
    assert block_length(series[:, np.newaxis]) > 20 and block_length(rng.normal(size=(600, 1))) < 5


def test_kappa_and_icc_are_those_of_the_textbooks():
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)  # Cohen 1960's formula, worked by hand
    shrout = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert icc(shrout) == pytest.approx(0.29, abs=0.005)  # Shrout and Fleiss 1979, ICC(2,1)


def test_agreement_is_about_what_was_coded_and_is_not_unsure():
    seen = pandas.concat([readings("hhhhsssuuu", file=name) for name in ("a.mp4", "b.mp4", "c.mp4")])
    coding = [("a.mp4", 0.0, 0.45, "Happiness"), ("b.mp4", 0.0, 0.55, "Happiness"), ("c.mp4", 0.0, 0.65, "Happiness")]
    coding = pandas.DataFrame([*coding, ("a.mp4", 0.5, 2.0, "sadness")], columns=["file", "start", "end", "label"])
    table = agreement_table(seen, coding, LABELS).set_index("emotion")
    assert table.loc["all", "seconds"] == pytest.approx(0.1 * (7 + 6 + 7))
    assert table.loc["all", "agreement"] == pytest.approx(1 - 6 / 20)
    assert table.loc["sad", "icc"] == pytest.approx(table.loc["happy", "icc"], abs=1e-3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("file,start\na.mp4,1\n", "no column 'end'"),
        ("file,start,end,label\nz.mp4,0,1,sad\n", "'z.mp4'"),
        ("file,start,end,label\na.mp4,soon,1,sad\n", "no number"),
        ("File,start,start,Start,end,label\na.mp4,0,0,0,1,sad\n", "more than one column 'start'"),
        ("\n", "cannot be read"),
    ],
)
def test_a_coding_that_does_not_fit_is_refused(content, words, tmp_path):
    path = tmp_path / "coding.csv"
    path.write_text(content)
    with pytest.raises(SourceError, match=words):
        read_times(path, needed=("file", "start", "end", "label"), files=["a.mp4"])
