"""FER+: what votes come to, how they are joined to FER-2013 in each form, and the download of the votes."""

import hashlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.contents import Contents, DecodedImage, Known
from fer_core.data.report import DataReport
from fer_core.data.sources import open_source
from fer_core.data.votes import COLUMNS, FERPLUS, VoteRule, Votes, settled_labels, votes_for
from fer_core.errors import DatasetError, SourceError
from fer_core.labels import FER2013_CSV_ORDER
from fer_core.paths import Published
from tests.data.formats.layouts import encoded, face, ferplus_images, text_of, written

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
USAGES = ("Training",) * 12 + ("PublicTest",) * 4 + ("PrivateTest",) * 4


def counts(**votes: int) -> list[int]:
    return [votes.get(name, 0) for name in COLUMNS]


@pytest.mark.parametrize(
    ("votes", "majority", "shares"),
    [
        ({"sad": 6, "neutral": 4}, "sad", {"sad": 0.6, "neutral": 0.4}),
        ({"sad": 8, "neutral": 1, "fear": 1}, "sad", {"sad": 1.0}),
        ({"sad": 5, "neutral": 5}, "as no emotion has more than half", {"sad": 0.5, "neutral": 0.5}),
        ({"sad": 4, "neutral": 3, "fear": 3}, "as no emotion has more", None),
        ({"happy": 4, "unknown": 6}, "as most votes say unknown", "as most votes say unknown"),
        ({"NF": 10}, "as most votes say unknown or not a face", "as most votes say unknown"),
        ({"happy": 5, "sad": 2, "unknown": 3}, "as no emotion", "as the votes are spread"),
        ({"happy": 6, "unknown": 4}, "happy", {"happy": 1.0}),
        ({"contempt": 7, "neutral": 3}, "contempt", {"contempt": 0.7, "neutral": 0.3}),
    ],
)
def test_votes_become_labels_as_the_authors_make_them(votes, majority, shares):
    found = VoteRule().of(counts(**votes))
    assert (found if isinstance(found, str) else found.label).startswith(majority)
    soft = VoteRule("cross-entropy").of(counts(**votes))
    if isinstance(shares, str):
        assert soft.startswith(shares)
    elif shares:
        assert dict(soft.shares) == pytest.approx(shares)
        assert soft.only_trains == majority.startswith("as ")


def test_seven_classes_leave_contempt_out():
    assert VoteRule(classes=7).of(counts(contempt=7, neutral=3)).startswith("as contempt is not one of the 7")
    assert dict(VoteRule("probability", 7).of(counts(sad=6, contempt=4)).shares) == {"sad": 1.0}


def test_pictures_are_known_by_the_names_of_the_download_and_of_ferplus():
    votes = Votes(np.zeros((35_887, 10), np.int64), ["Training"] * 35_887)
    names = {
        "fer0000123.png": 123,
        "train/happy/Training_1426440.jpg": 0,
        "x/angry/Training_8475486.jpg": 24067,
        "surprise/Training_8475486.jpg": 27820,
        "neutral/Training_52789098.jpg": -1,
        "happy/Training_5.jpg": None,
        "me.jpg": None,
    }
    assert {name: votes.row_of(PurePosixPath(name)) for name in names} == names
    assert votes.of_picture("neutral/Training_52789098.jpg") is None


@pytest.fixture
def voted(tmp_path):
    """FER-2013 in small: twenty rows, and votes that say another emotion than the label in a quarter of them."""
    emotions = [(0, 3, 6, 4)[row % 4] for row in range(20)]
    lines, table = [HEADER], ["emotion,pixels,Usage"]
    for row, (emotion, usage) in enumerate(zip(emotions, USAGES, strict=True)):
        label = FER2013_CSV_ORDER[emotion]
        said = "contempt" if label == "sad" else label
        votes = counts(**{said: 6, "surprise": 4}) if row != 1 else counts(happy=5, surprise=5)
        lines.append(f"{usage},{'' if row == 0 else f'fer{row:07}.png'},{','.join(map(str, votes))}")
        table.append(f"{emotion},{text_of(label, row)},{usage}")
    (tmp_path / "fer2013new.csv").write_text("\n".join(lines))
    (tmp_path / "fer2013.csv").write_text("\n".join(table))
    return tmp_path


def test_votes_are_joined_to_the_rows_of_the_csv(load, voted):
    data, votes = voted / "fer2013.csv", str(voted / "fer2013new.csv")
    dataset = load(data, votes=votes)
    assert dataset.name == "FER+"
    assert dataset.labels == ("angry", "contempt", "happy", "neutral")
    assert [split.name for split in (dataset.train, dataset.test)] == [
        "Training (FER+ majority)",
        "PrivateTest (FER+ majority)",
    ]
    assert len(dataset.train) == 10, "one is not a face, one has no majority"
    notes = "\n".join(dataset.notes)
    assert "scores are on the majority, where it has more than half of the votes, as in arXiv 1608.01041" in notes
    assert "Left out, as FER+ has no votes on them (not a face): 1 in Training." in notes
    assert "Left out, as no emotion has more than half of the votes: 1 in Training." in notes
    beside = load(voted)
    assert beside.split_fingerprint == dataset.split_fingerprint, "votes that lie beside are taken"
    assert load(voted, votes="none").name != "FER+"


def test_soft_votes_train_and_are_never_scored(load, voted):
    dataset = load(voted, vote_target="cross-entropy", validation_fraction=0.3)
    assert dataset.train.shares.shape == (len(dataset.train), 5 - 1)
    assert len(dataset.train) == 11
    np.testing.assert_allclose(dataset.train.shares.sum(axis=1), 1, rtol=1e-6)
    assert "line 000003" not in [*dataset.validation.names(slice(None)), *dataset.test.names(slice(None))]


def test_votes_may_soften_the_labels_of_the_data_which_stay(load, voted, tmp_path):
    plain, dataset = (load(voted, votes=votes, vote_target="softened") for votes in ("none", None))
    assert dataset.name == plain.name != "FER+"
    assert dataset.labels == plain.labels == ("angry", "happy", "neutral", "sad")
    assert dataset.split_fingerprint == plain.split_fingerprint
    assert len(dataset.train) == 12
    assert "soften the labels" in "\n".join(dataset.notes)
    angry, happy = (dataset.labels.index(name) for name in ("angry", "happy"))
    shares = dict(zip(dataset.train.names(slice(None)), dataset.train.shares, strict=True))
    assert shares["line 000002"][angry] == 1, "nobody voted: the label alone"
    assert shares["line 000003"][happy] == 1
    names = {f"train/sad/{name}.jpg": encoded(face("sad", n)) for n, name in enumerate(("Training_64048399", "1"))}
    names |= {f"train/happy/{n}.jpg": encoded(face("happy", n)) for n in range(2)}
    names |= {f"test/{name}/{n}.jpg": encoded(face(name, 5 + n)) for name in ("sad", "happy") for n in range(2)}
    folder = load(written(names, tmp_path, "folder"), votes=str(voted / "fer2013new.csv"), vote_target="softened")
    assert folder.contents.counts()["train"] == {"happy": 2, "sad": 2}
    with pytest.raises(DatasetError, match="no labels to be softened"):
        load(written(ferplus_images(), tmp_path / "own", "folder"), vote_target="softened")


def test_votes_that_belong_to_other_rows_or_pictures_are_refused(load, voted, fill, tmp_path):
    votes = str(voted / "fer2013new.csv")
    lines = (voted / "fer2013.csv").read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([lines[0], *lines[:0:-1]]))
    with pytest.raises(DatasetError, match="row 2 is of PrivateTest; the votes are on Training"):
        load(turned, votes=votes)
    with pytest.raises(DatasetError, match="None of the 30 pictures has votes"):
        load(fill(tmp_path / "others"), votes=votes)
    with pytest.raises(DatasetError, match="others cannot be read: Is a directory"):
        load(voted, votes=str(tmp_path / "others"))
    with pytest.raises(DatasetError, match=r"is not FER\+'s table of votes"):
        load(voted, votes=str(voted / "fer2013.csv"))
    content = (voted / "fer2013new.csv").read_text()
    (tmp_path / "new.csv").write_text(content.replace("Training", "training"))
    with pytest.raises(DatasetError, match="line 2: not a Usage and ten numbers of votes"):
        load(written(ferplus_images(), tmp_path / "own", "folder"), votes=str(tmp_path / "new.csv"))


def test_pictures_with_the_names_of_ferplus_need_no_folders(load, voted, tmp_path):
    names = {f"flat/fer{row:07}.png": encoded(face("sad", row)) for row in range(20)}
    folder = written(names, tmp_path, "folder")
    dataset = load(folder, votes=str(voted / "fer2013new.csv"))
    assert {part: sum(of.values()) for part, of in dataset.contents.counts().items()} == {
        "Training": 10,
        "PublicTest": 4,
        "PrivateTest": 4,
    }


def test_a_label_map_also_renames_what_was_voted(load, tmp_path):
    folder = written(ferplus_images(), tmp_path, "folder")
    settings = {"label_map": "contempt=disgust", "vote_target": "probability"}
    dataset = load(folder, **settings)
    assert "contempt" not in dataset.labels
    assert dataset.train.shares.shape[1] == 7
    assert Counter(dataset.train.labels.tolist())[dataset.labels.index("disgust")] == 6


def test_the_real_votes_give_the_numbers_of_the_paper(test_data, paths):
    table = test_data / "fer2013new.csv"
    if not table.is_file():
        pytest.skip(f"No FER+ votes: {table} is missing.")
    config = TrainConfig(data=str(test_data / "fer2013.zip"), votes=str(table))
    with open_source(config.data, config, paths).open() as listing:
        counted = Counter((one.part, one.label) for one in listing.pictures)  # none is decoded
    of_parts = {part: [count for (of, _), count in sorted(counted.items()) if of == part] for part, _ in counted}
    assert sum(of_parts["Training"]) == 25_057
    assert of_parts["PublicTest"] == [287, 13, 24, 62, 865, 1182, 351, 415]
    left_out = {(one.reason, one.place): one.images for one in listing.report.left_out}
    assert left_out["as FER+ has no votes on them (not a face)", "test"] == 10
    assert left_out["as FER+ has no votes on them (not a face)", "train"] == 149
    rows = filter(None, map(votes_for(config, paths).of_row, range(35_887)))
    of_seven = [VoteRule(classes=7).of(votes) for usage, votes in rows if usage == "PublicTest"]
    assert sum(not isinstance(label, str) for label in of_seven) == 3_186


def test_drawn_faces_have_no_votes_and_their_labels_can_be_changed(load, voted):
    with pytest.raises(DatasetError, match="no votes on drawn faces"):
        load("sample", votes=str(voted / "fer2013new.csv"))
    dataset = load("sample", sample_per_class=10, label_map="angry=bad,fear=bad,sad=")
    assert dataset.labels == ("bad", "disgust", "happy", "neutral", "surprise")
    assert len(dataset.contents) == 60
    assert dataset.notes[0] == "Labels: angry as bad, fear as bad. Dropped: sad."


def test_settings_of_labels_and_votes_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "map.txt").write_text("Anger=mad\n8=\n")
    config = TrainConfig(label_map="map.txt", votes="votes.csv")
    assert settled_labels(config) == {"label_map": "anger=mad,8=", "votes": str(tmp_path / "votes.csv")}
    assert settled_labels(TrainConfig(votes="ferplus")) == {"label_map": None, "votes": "ferplus"}


@pytest.fixture
def server(monkeypatch):
    """A server that publishes a table of one vote, and counts what it is asked for."""
    content = f"{HEADER}\nTraining,fer0000000.png,9,0,0,0,0,0,0,0,1,0\n".encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.requests = []
        url = f"http://127.0.0.1:{server.server_port}/fer2013new.csv"
        server.published = Published("fer2013new.csv", url, hashlib.sha256(content).hexdigest())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_votes_are_downloaded_once_and_checked(server, paths):
    config = TrainConfig(votes="ferplus")
    for _ in range(2):
        votes = votes_for(config, paths, published=server.published)
        assert votes.of_row(0) == ("Training", (9, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    assert server.requests == ["/fer2013new.csv"]
    with pytest.raises(SourceError, match="its content is not what was published") as caught:
        votes_for(config, paths, published=server.published._replace(name="other.csv", sha256=FERPLUS.sha256))
    assert "--votes FILE" in caught.value.hint


def test_votes_that_lie_beside_the_archive_are_not_downloaded(server, paths, tmp_path):
    (tmp_path / "fer2013new.csv").write_text(
        f"{HEADER}\nPublicTest,fer0000000.png,0,9,0,0,0,0,0,0,1,0\n", encoding="utf-8"
    )
    config = TrainConfig(votes="ferplus", data=str(tmp_path / "fer2013.zip"))
    assert votes_for(config, paths, published=server.published).of_row(0)[0] == "PublicTest"
    assert server.requests == []


def test_votes_for_a_class_that_training_lacks_leave_the_label():
    votes = {"a": (("fear", 1.0),), "b": (("fear", 0.5), ("sad", 0.5)), "c": ()}
    images = [DecodedImage("train", "sad", n, name, 9.0, Known(shares=votes[name])) for n, name in enumerate("abc")]
    images += [DecodedImage("test", "fear", 9, "d", 9.0), DecodedImage("train", "happy", 10, "e", 9.0)]
    contents = Contents.of(images, [], DataReport()).of_trained_classes(("train",))
    assert contents.labels == ("happy", "sad")
    assert contents.shares.tolist() == [[1, 0], [0, 1], [0, 1], [0, 1]]


def test_votes_lie_beside_what_is_read_also_where_no_setting_names_it(voted, paths, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "fer2013new.csv").write_text("no votes")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert open_source(str(voted / "fer2013.csv"), TrainConfig(votes="ferplus"), paths).name == "fer2013.csv"
