"""Data sets as they vary from one download to the next: names, nesting, case, order, columns. No picture is read."""

import io
import json
from collections import Counter

import numpy as np
import pytest

from fer_core.data.face_finding import cropped
from fer_core.data.fer2013 import csv_listing
from fer_core.data.formats import formats
from fer_core.data.reading import read_tree
from fer_core.data.tree import FaceBox
from fer_core.data.votes import USUAL, ReadOptions
from fer_core.errors import DatasetError
from fer_core.labels import label_map
from tests.data.formats.layouts import tree_of

NAMES = ["HAPPINESS", "anger", "sadness"]
THREE = {"happy": 4, "angry": 4, "sad": 4}
PICTURES = [f"images/{number}.jpg" for number in range(12)]
SHAPE = b"{'descr': '<i8', 'fortran_order': False, 'shape': (10000000000000,), }"
HUGE = b"\x93NUMPY\x01\x00v\x00" + SHAPE.ljust(117) + b"\n"
COCO = (
    b'{"images": [{"id": 0, "file_name": "0.jpg"}], "categories": [{"id": 0, "name": "happy"}], '
    b'"annotations": [{"image_id": 0, "category_id": 0, "bbox": [1, 2, 30, 40]}]}'
)
AFFECTNET_COLUMNS = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression"


def read(names, files=None, options=USUAL):
    reading = read_tree(tree_of(names, files), options)
    return reading, dict(Counter(one.label for one, _ in reading.placed))


def npy(value) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(value))
    return stream.getvalue()


def table(line: str, *, header: str = "", lines: range = range(12), end: str = "\n") -> bytes:
    rows = [
        line.format(n=n, label=NAMES[n % 3], number=n % 3, first=int(n % 3 == 0), flag=n % 3 == 0, other=n % 3 > 0)
        for n in lines
    ]
    return (f"{header}{end}" if header else "").encode() + end.join(rows).encode()


@pytest.mark.parametrize(
    "files",
    [
        {"legend.csv": table("{n}7,{n}.jpg,{label}", header="user.id,image,emotion")},
        {"labels.csv": table("images\\{n}.jpg;{label}").decode().encode("utf-16")},
        {"labels.tsv": table("{n}\t{label}", header="id\temotion", end="\r\n")},
        {"list.txt": table("images/{n}.jpg {label}")},
        {"x/labels.csv": b"\xef\xbb\xbf" + table('"{label}","./images/{n}.jpg"', header="Class,Path")},
        {"labels.csv": table("{n},{n}.jpg,{label},2024", header=",name,label,year")},
    ],
    ids=["legend", "semicolons", "tabs", "blanks", "turned round", "index"],
)
def test_any_table_that_names_pictures_and_labels_is_read(files):
    reading, counts = read(PICTURES, files)
    assert counts == THREE
    assert "pictures and a table of labels" in reading.report.format


def test_a_column_or_a_table_for_each_split_makes_splits():
    header, line = "file,label,split", "{n}.jpg,{label}"
    whole = table(f"{line},train", header=header, lines=range(9)) + b"\n" + table(f"{line},Test", lines=range(9, 12))
    apart = {"train_labels.csv": table(line, lines=range(9)), "test_labels.csv": table(line, lines=range(9, 12))}
    for files in ({"all.csv": whole}, apart):
        reading, _ = read(PICTURES, files)
        assert Counter(one.part for one, _ in reading.placed) == {"train": 9, "test": 3}


def test_a_column_for_each_emotion_and_numbers_with_a_map():
    flags = {"train/_classes.csv": table("{n}.jpg, {first}, 0", header="filename, happy, sad")}
    pictures = [f"train/{n}.jpg" for n in range(12)]
    assert read(pictures, flags)[1] == {"happy": 4}
    numbers = {"labels.csv": table("{n}.jpg,{number}", header="name,label")}
    reading, counts = read(PICTURES, numbers)
    assert (counts, reading.report.notes[0][:34]) == ({"0": 4, "1": 4, "2": 4}, "Guessed: the classes are the numbe")
    reading, counts = read(PICTURES, numbers, ReadOptions(labels=label_map("0=joy,1=,2=sad")))
    assert counts == {"joy": 4, "sad": 4}
    assert reading.report.sentences()[1] == "Labels: 0 as joy, 2 as sad. Dropped: 1."


def test_two_labels_for_one_picture_are_refused_and_missing_pictures_counted():
    files = {"labels.csv": table("{n}.jpg,{label}", lines=range(15))}
    assert "3 lines of labels.csv name no picture that is there." in read(PICTURES, files)[0].report.notes
    files["other.csv"] = b"0.jpg,sad\n1.jpg,anger\n2.jpg,sad\n"
    with pytest.raises(DatasetError, match=r"images/0.jpg is labelled 'happiness' and 'sad'"):
        read(PICTURES, files)


def test_rafdb_is_known_by_its_names():
    folders = [f"D/{split}/{n % 7 + 1}/{split}_{n:05}_aligned.jpg" for split in ("train", "test") for n in range(14)]
    assert read(folders)[1] == dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), 4)
    mixed = [*(name.replace("test", "valid") for name in folders), "D/train/1/me.jpg", "D/docs/me.jpg"]
    reading, counts = read(mixed)
    assert Counter(one.part for one, _ in reading.placed) == {"train": 15, "validation": 14}
    assert [(one.reason, one.images) for one in reading.report.left_out] == [("as beside train and valid", 1)]
    other = [f"{split}/{n % 7 + 1}/{split[0]}{n}.jpg" for split in ("train", "test") for n in range(14)]
    listed = {
        f"{split}.csv": "\n".join(["label,image", *(f"{n % 7 + 1},{split[0]}{n}.jpg" for n in range(14))]).encode()
        for split in ("train", "test")
    }
    reading, counts = read(other, listed)
    assert (counts["surprise"], reading.report.format[:18]) == (4, "RAF-DB, by its fol")
    assert "surprise" not in read(other)[1], "folders 1 to 7 alone may be anything"
    flat = [f"D/train/train_{n:05}.jpg" for n in range(14)]
    listed = "\n".join(f"{n},train_{n:05}.jpg,{n % 7 + 1}" for n in range(14))
    reading, counts = read(flat, {"D/train_labels.csv": f"index,image,label\n{listed}".encode()})
    assert (counts["surprise"], reading.report.format) == (2, "RAF-DB")


def test_affectnets_numbers_may_be_numbers_and_its_older_table_has_boxes():
    files = {f"train_set/annotations/{n}_exp.npy": npy(n) for n in range(9)}
    reading, counts = read([f"train_set/images/{n}.jpg" for n in range(10)], files)
    assert len(counts) == 8
    assert {one.reason for one in reading.report.left_out} == {"as they are labelled none", "as they have no label"}
    pictures = [f"Manually_Annotated/{n % 3}/{n}.jpg" for n in range(12)]
    lines = {"training": range(9), "validation": range(9, 12)}
    files = {
        f"{name}.csv": "\n".join([AFFECTNET_COLUMNS, *(f'{n % 3}/{n}.jpg,1,2,30,40,"1;2",{n}' for n in some)]).encode()
        for name, some in lines.items()
    }
    reading, counts = read(pictures, files)
    assert len(counts) == 8
    assert reading.placed[0][0].box == FaceBox(1, 2, 30, 40)
    assert "as they are labelled uncertain" in {one.reason for one in reading.report.left_out}


def test_ck_takes_the_peak_of_each_sequence_and_knows_the_persons():
    frames = [f"images/S00{who}/001/S00{who}_001_{n:08}.png" for who in (5, 6) for n in range(1, 8)]
    labels = {f"Emotion/S00{who}/001/S00{who}_001_00000007_emotion.txt": b"   3.0000000e+00\n" for who in (5,)}
    reading, counts = read(frames, labels)
    assert counts == {"disgust": 3, "neutral": 1}
    assert {one.person for one, _ in reading.placed} == {"S005"}
    assert sum(one.images for one in reading.report.left_out) == 10
    cropped_ck = [f"CK+48/{label}/S01{n}_001_0000001{n}.png" for label in ("anger", "happy") for n in range(4)]
    assert {one.person for one, _ in read(cropped_ck)[0].placed} == {"S010", "S011", "S012", "S013"}


@pytest.mark.parametrize(
    "pictures",
    [
        [f"{session}{who}{code}{angle}.jpg".lower() for session in "AB" for who in ("F01", "M02")
         for code in ("AN", "HA") for angle in ("S", "HL", "FR")],
        [f"jaffe/{who}.{code}{n}.{n}.tiff" for who in ("KA", "KL") for code in ("AN", "HA") for n in (1, 2)],
    ],
    ids=["KDEF", "JAFFE"],
)  # fmt: skip
def test_names_say_emotion_and_person(pictures):
    reading, counts = read(pictures)
    assert counts.keys() == {"angry", "happy"}
    assert len({one.person for one, _ in reading.placed}) == 2
    assert not any("fr.jpg" in one.name for one, _ in reading.placed)
    apart, _ = read([f"{split}/{name}" for split in ("train", "test") for name in pictures])
    assert {one.part for one, _ in apart.placed} == {"train", "test"}


def test_expw_has_several_faces_in_a_picture():
    lines = b"a0.jpg 0 28 113 226 141 22.9857 5\na0.jpg 1 28 10 60 42 22.9857 3\na1.jpg 0 1 2 30 40 60.1 6\n"
    reading, counts = read([f"image/a{n}.jpg" for n in range(3)], {"label/label.lst": lines})
    assert counts == {"surprise": 1, "happy": 1, "neutral": 1}
    assert [one.title for one, _ in reading.placed] == ["image/a0.jpg#2", "image/a1.jpg#1", "image/a0.jpg#1"]
    assert reading.placed[1][0].box == FaceBox(2, 1, 28, 39)


@pytest.mark.parametrize(
    "names",
    [
        b"names:\n  0: Anger\n  1: 'Happy'\n",
        b'names: [anger, "happy"]',
        b"names:\n    - anger # first\n    - Happy\nnc: 2\n",
    ],
)
@pytest.mark.parametrize("folders", [("Train/Images", "Train/Labels"), ("images/train", "labels/train"), ("", "")])
def test_yolo_has_names_in_any_form_and_labels_in_any_folder(names, folders):
    pictures = [f"{folders[0]}/{n}.jpg".strip("/") for n in range(3)]
    labels = {f"{folders[1]}/{n}.txt".strip("/"): b"1 0.5 0.5 0.2 0.2\n0 .1 .1 .3 .1 .3 .3\n" for n in range(2)}
    reading, counts = read(pictures, {"data.yaml": names} | labels)
    assert counts == {"angry": 2, "happy": 2}
    assert [one.images for one in reading.report.left_out if one.reason == "as no face is marked in them"] == [1]


def test_ferplus_differs_in_case_and_may_have_a_header_or_no_boxes():
    header = "name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    votes = "9,0,0,0,0,0,0,0,1,0"
    plain = "\n".join([header, *(f"fer{n:07}.png,{votes}" for n in range(8))])
    boxed = "\n".join(f'fer{n:07}.png,"(0, 0, 48, 48)",{votes}' for n in range(8))
    for table_name, content in (("Label.csv", boxed), ("labels.CSV", plain)):
        reading, counts = read(
            [f"x/fer2013train/fer{n:07}.PNG" for n in range(8)], {f"x/fer2013train/{table_name}": content.encode()}
        )
        assert (counts, reading.placed[0][0].part) == ({"neutral": 8}, "train")


@pytest.mark.parametrize("folder", ["{}/{}{}.jpg", "{}2017/{}{}.jpg"])
def test_coco_has_boxes_and_categories(folder):
    splits = ("train", "val")
    files = {}
    for split in splits:
        images = [{"id": n, "file_name": f"{split}{n}.jpg"} for n in range(3)]
        boxes = [{"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [1, 2, 30, 40]} for n in range(3)]
        names = [{"id": 1, "name": "Happy"}, {"id": 2, "name": "sadness"}]
        content = json.dumps({"images": images, "annotations": boxes, "categories": names}).encode()
        is_standard = "2017" in folder
        files[f"annotations/instances_{split}2017.json" if is_standard else f"{split}/_annotations.coco.json"] = content
    reading, counts = read([folder.format(split, split, n) for split in splits for n in range(3)], files)
    assert counts == {"happy": 4, "sad": 2}
    assert Counter(one.part for one, _ in reading.placed) == {"train": 3, "validation": 3}


def test_pixel_tables_lie_beside_others():
    files = {
        "x/train.csv": b"emotion,pixels\n0,1 2\n",
        "x/test.csv": b"pixels\n1 2\n",
        "x/icml_face_data.csv": b"emotion, Usage, pixels\n0,Training,1 2\n",
    }
    reading, _ = read([], files)
    assert reading.tables == [("x/icml_face_data.csv", "all images")]
    assert "Left out, as beside x/icml_face_data.csv: x/train.csv." in reading.report.notes
    tables = {"train.csv": b"emotion\tpixels\n", "val.csv": b"emotion\tpixels\n"}
    assert read([], tables)[0].tables == [("train.csv", "train"), ("val.csv", "validation")]
    with pytest.raises(DatasetError, match=r"could be 2 data sets: a.csv and b.csv"):
        read([], {"a.csv": b"emotion,pixels\n", "b.csv": b"emotion,pixels\n"})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_pixel_table_has_any_separator_and_encoding(separator, encoding):
    row = separator.join(("3", "Training", " ".join(["7"] * 2304)))
    content = f"emotion{separator}Usage{separator}pixels\r\n{row}\r\n".encode(encoding)
    (picture,) = csv_listing(io.BytesIO(content), name="x.csv").pictures
    assert (picture.part, picture.label, picture.read().mean()) == ("Training", "happy", 7)


def test_a_box_is_cut_out_as_a_square_inside_of_the_picture():
    picture = np.arange(100 * 200).reshape(100, 200)
    assert np.array_equal(cropped(picture, FaceBox(10, 20, 30, 30)), picture[20:50, 10:40])
    assert np.array_equal(cropped(picture, FaceBox(0.5, 0.5, 0.1, 0.2, in_parts=True)), picture[50:70, 100:120])
    assert np.array_equal(cropped(picture, FaceBox(190, 20, 10, 30)), picture[20:50, 170:200])
    assert cropped(picture, FaceBox(0, 0, 200, 50)).shape == (100, 200)
    for outside in (FaceBox(300, 0, 5, 5), FaceBox(5, 5, 0, 9), FaceBox(-9, 0, 9, 9)):
        with pytest.raises(DatasetError, match="lies outside of its 200 x 100 pixels"):
            cropped(picture, outside)
    for none in ("nan", "inf"):
        with pytest.raises(DatasetError, match="numbers that are none"):
            cropped(picture, FaceBox(5, 5, 9, float(none)))


def test_rafdb_lies_beside_its_compound_part_and_its_names_say_the_split():
    names = [f"{split}_{n:05}" for split in ("train", "test") for n in range(7)]
    listed = {
        f"{kind}/EmoLabel/list_patition_label.txt": "\n".join(f"{x}.jpg {n % most + 1}" for n, x in enumerate(names))
        for kind, most in (("basic", 7), ("compound", 11))
    }
    listed["basic/EmoLabel/list_patition_label.txt"] += "\ntrain_09999.jpg 1"
    pictures = [f"{kind}/Image/aligned/{name}_aligned.jpg" for kind in ("basic", "compound") for name in names]
    reading, counts = read(pictures, {name: text.encode() for name, text in listed.items()})
    assert set(counts.values()) == {2}
    assert {one.name.split("/")[0] for one, _ in reading.placed} == {"basic"}
    assert "name no picture" in str(reading.report.notes) or "names no picture" in str(reading.report.notes)
    lines = "\n".join(f"/home/me/{name}.jpg,{n % 7 + 1}" for n, name in enumerate(names))
    reading, _ = read([f"all/{name}.jpg" for name in names], {"list.csv": f"path,label\n{lines}".encode()})
    assert Counter(one.part for one, _ in reading.placed) == {"train": 7, "test": 7}


def test_affectnets_table_may_lack_its_header_and_names_differ_in_case():
    rows = "\n".join(f'{n % 3}/{n}.jpg,1,2,30,40,"1;2",{n},0.1,0.2' for n in range(11))
    reading, counts = read([f"Images/{n % 3}/{n}.JPG" for n in range(11)], {"validation.csv": rows.encode()})
    assert (len(counts), reading.placed[0][0].part) == (8, "validation")
    files = {f"Train_Set/Annotations/{n}_EXP.NPY": npy(n) for n in range(9)}
    reading, counts = read([f"Train_Set/Images/{n}.JPG" for n in range(8)], files)
    assert (len(counts), reading.report.notes) == (8, ["Annotations of pictures that are not there: 1."])


def classes(*names: str, files=None, tail="{n}.jpg"):
    """Returns what is read of three pictures in each of these folders."""
    return read([f"{name}/{tail.format(n=3 * k + n)}" for k, name in enumerate(names) for n in range(3)], files)


@pytest.mark.parametrize(
    ("folders", "counts", "said"),
    [
        (["happy", "sad", "unlabeled", "Not a face"], {"happy": 3, "sad": 3}, "Dropped: not a face, unlabeled."),
        (["class_0_happy", "class_1_sad"], {"happy": 3, "sad": 3}, "class_1_sad as sad"),
        (["\U0001f600", "\U0001f622"], {"\U0001f600": 3, "\U0001f622": 3}, "Guessed"),
        (["Train_Aligned/sad", "Train_Aligned/joy", "Val_Aligned/sad", "Val_Aligned/joy"], {"sad": 6, "happy": 6},
         "Taken for splits, by their names: Train_Aligned and Val_Aligned."),
        (["train/sad", "train/happy", "test/sad", "test/happy", "train_aug/sad", "train_aug/happy"],
         {"sad": 6, "happy": 6}, "Left out, as beside test and train: 6 in train_aug."),
        (["train/sad", "train/happy", "my_test/sad", "my_test/happy"], {"sad": 6, "happy": 6}, "is the test split"),
    ],
    ids=["no label", "class", "emoji", "aligned", "augmented", "my test"],
)  # fmt: skip
def test_folders_are_what_their_names_mean(folders, counts, said):
    reading, found = classes(*folders)
    assert found == counts
    assert said in "\n".join(reading.report.sentences())


@pytest.mark.parametrize(
    ("names", "files", "said"),
    [
        (["train_angry/1.jpg", "test_angry/2.jpg", "train_sad/3.jpg"], {}, "names a split and an emotion"),
        (PICTURES, {f"labels/{n}.txt": b"0 .5 .5 .1 .1\n" for n in range(12)}, "not the names of their classes"),
        (
            PICTURES,
            {"a.yaml": b"names: [a, b]", "b/data.yaml": b"names: [b, a]"},
            "several lists of classes that differ",
        ),
        (PICTURES, {"labels.csv": table("other{n}.png,{label}")}, "labels.csv may hold the labels, but in no form"),
        (PICTURES, {"images/metadata.jsonl": b'{"file_name": "0.jpg"}'}, "metadata.jsonl seems to hold the labels"),
        (["a/" * 200 + "1.jpg"], {}, "more than 100 folders inside of each other"),
    ],
    ids=["splits in classes", "YOLO without names", "two orders", "other pictures", "jsonl", "no end"],
)
def test_what_is_not_read_is_refused_for_its_own_reason(names, files, said):
    with pytest.raises(DatasetError, match=said):
        read(names, files)


@pytest.mark.parametrize(
    ("files", "counts", "said"),
    [
        ({"a.csv": table("{n}.jpg;{label}", header="Bild;\u00dcber").decode().encode("cp1252")}, THREE, ""),
        ({"a.csv": table("{n}.jpg,{flag},{other}", header="image,happy,sad")}, {"happy": 4, "sad": 8}, ""),
        ({"a.csv": table("{n}.jpg,{first},1", header="image,happy,sad")}, {"sad": 8}, "no label or several of them: 4"),
        ({"a.csv": table("{n}.jpg,{label}"), "sample_submission.csv": table("{n}.jpg,sad")}, THREE, ""),
        ({"a.csv": table("{n}.jpg,{label}") + b"\n0.jpg,Happy"}, THREE, ""),
        ({"a.csv": table("{n}.jpg,{label}", lines=range(9)) + b"\n9.jpg,NaN"}, dict.fromkeys(THREE, 3), "Dropped: nan"),
        ({"a.csv": table("{n}.jpg,{label}", header="image,emotion", lines=range(40))}, THREE, "28 lines of a.csv"),
    ],
    ids=["cp1252", "true and false", "two emotions", "submission", "same emotion", "nan", "few of the pictures"],
)  # fmt: skip
def test_tables_of_labels_say_what_they_mean(files, counts, said):
    reading, found = read(PICTURES, files)
    assert found == counts
    assert said in "\n".join(reading.report.sentences())


def test_a_letter_of_windows_may_come_late_in_a_table():
    late = "x" * 70_000 + "é.jpg"
    lines = table("{n}.jpg,{label}", header="image,emotion") + f"\n{late},sad".encode("cp1252")
    assert read([*PICTURES, late], {"a.csv": lines})[1] == THREE | {"sad": 5}


def test_a_table_that_contradicts_the_folders_is_named():
    reading, _ = classes("happy", "sad", files={"labels.csv": b"0.jpg,sad\n1.jpg,happy\n3.jpg,sad\n"})
    assert "labels.csv says otherwise of 1 of 3 pictures." in reading.report.notes[0]


def test_boxes_stand_in_tables_and_in_pascal_voc():
    ends = {"xmin": 5, "ymin": 6, "xmax": 35, "ymax": 46}
    row = "a.jpg,90,90,{},5,6,35,46\n"
    table_of = f"filename,width,height,class,{','.join(ends)}\n{row.format('happy')}{row.format('Sad')}".encode()
    box = "".join(f"<{tag}> {value} </{tag}>" for tag, value in ends.items())
    xml = "".join(f"<object><name>{name}</name><bndbox>{box}</bndbox></object>" for name in ("happy", "Sad"))
    for files in ({"train/_annotations.csv": table_of}, {"train/a.xml": xml.encode()}, {"xml/a.xml": xml.encode()}):
        reading, counts = read(["train/a.jpg", "train/b.jpg"], files)
        assert counts == {"happy": 1, "sad": 1}
        assert {one.box for one, _ in reading.placed} == {FaceBox(5, 6, 30, 40)}
        assert sum(one.images for one in reading.report.left_out) == 1


def test_expw_and_coco_find_pictures_by_other_spellings_of_their_names():
    lines = b"an angry boy.jpg 0 28 113 226 141 22.9 0\n1.jpg 0 28 113 226 141 22.9 3\nx.jpg 0 1 1 2 2 1.0 3\n"
    reading, counts = read(["origin/An angry boy.JPG", "origin/1.jpg"], {"label.lst": lines})
    assert (counts, reading.placed[0][0].box) == ({"angry": 1, "happy": 1}, FaceBox(113, 28, 113, 113))
    found = {"images": [{"id": n, "file_name": f"images\\{n}.jpg"} for n in range(3)]}
    found["annotations"] = [{"image_id": n, "category_id": n % 2, "bbox": [1, 2, 3, 4]} for n in range(3)]
    found["categories"] = [{"id": 0, "name": "happy"}, {"id": 1, "name": "sad"}]
    reading, counts = read(["images/0.jpg", "images/1.jpg"], {"coco.json": json.dumps(found).encode()})
    assert (counts, reading.report.notes) == (
        {"happy": 1, "sad": 1}, ["Annotations without a box, or a picture that is there: 1."]
    )  # fmt: skip


def test_a_table_of_pixels_has_other_names_of_splits_and_labels():
    rows = [(label, usage, " ".join(["7"] * 2304)) for label, usage in (("anger", "val"), ("3.0", "Train"))]
    content = "\n".join(["emotion,Usage,pixels", *(",".join(row) for row in rows)]).encode()
    pictures = csv_listing(io.BytesIO(content), name="x.csv").pictures
    assert [(one.part, one.label) for one in pictures] == [("validation", "angry"), ("train", "happy")]


def test_every_file_of_formats_is_asked_and_class_folders_last():
    from importlib.resources import files

    names = {path.name.removesuffix(".py") for path in files("fer_core.data.formats").iterdir()}
    asked = [one.__name__.rpartition(".")[2] for one in formats()]
    assert {*asked} == names - {"__init__", "__pycache__"}
    assert asked[-1] == "class_folders"


def test_json_that_is_no_coco_leaves_class_folders_alone():
    for content in (b'{"id": "a/b", "licenses": [{"name": "CC0-1.0"}]}', b'{"images": 36000}'):
        assert classes("happy", "sad", files={"dataset-metadata.json": content})[1] == {"happy": 3, "sad": 3}


def test_hostile_label_files_end_in_sentences():
    deep = b"[" * 100_000
    pictures = [f"train/images/{n}.jpg" for n in range(3)]
    for files in (
        {"a.csv": b"\xff\xfe\x00", "b.csv": b"image,label\n" + b'0.jpg,"sad\n' * 9},
        {"_annotations.coco.json": b'{"images": ' + deep},
        {"_annotations.coco.json": COCO.replace(b"30", b"9" * 400)},
        {"data.yaml": b"names: [a, b]", **{f"train/labels/{n}.txt": b"9 nan inf 1 1\n-1 x\n" for n in range(3)}},
        {f"train/annotations/{n}_exp.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O'" for n in range(3)},
        {f"train/annotations/{n}_exp.npy": HUGE for n in range(3)},
        {"label.lst": b"a.jpg 1 1 1 1 1 1 . 5\n"},
        {"label.lst": b"a" + b".1 1" * 10_000},
        {"S1_2_3_emotion.txt": b"inf"},
    ):
        with pytest.raises(DatasetError) as caught:
            read(pictures, files)
        assert caught.value.hint
    large = {"train/annotations/1_exp.npy": b"\x93NUMPY" + bytes(10_000)}
    with pytest.raises(DatasetError, match="have more bytes than labels take"):
        read(pictures, large)
