"""Small data sets of drawn faces in the layouts that people bring: each is made as files by name."""

import io
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer_core.data.sample import draw_face
from fer_core.data.tree import Tree
from fer_core.labels import FER2013_CSV_ORDER, FER2013_LABELS

Files = dict[str, bytes]
RAFDB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
CODES = {"angry": "AN", "disgust": "DI", "fear": "AF", "happy": "HA", "neutral": "NE", "sad": "SA", "surprise": "SU"}
VOTED = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "NF")


def tree_of(names, files: Files | None = None, *, folders=(), source: str = "faces") -> Tree:
    """Returns a tree of files that are empty, but for those with content."""
    files = files or {}
    return Tree.of(
        [*names, *files],
        folders,
        source=source,
        read_files=lambda wanted, most: ((name, files.get(name, b"")[:most]) for name in wanted),
        open=lambda name: io.BytesIO(files.get(name, b"")),
    )


@cache
def face(emotion: str, number: int) -> np.ndarray:
    """Returns a face, uint8 (48, 48); there is no drawing of contempt, so that another one is turned round for it."""
    drawn = draw_face("neutral" if emotion == "contempt" else emotion, np.random.default_rng((number, len(emotion))))
    return np.ascontiguousarray(drawn[:, ::-1]) if emotion == "contempt" else drawn


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def faces(emotions, count: int, start: int = 0) -> Iterator[tuple[str, int, bytes]]:
    """Yields emotion, a number that no other face has, and the picture."""
    for place, emotion in enumerate(emotions):
        for number in range(count):
            one = start + place * count + number
            yield emotion, one, encoded(face(emotion, one))


def class_folders(counts: dict[str, int], emotions, folder: Callable[[str], str] = str) -> Files:
    files: Files = {}
    for place, (split, count) in enumerate(counts.items()):
        for emotion, number, picture in faces(emotions, count, 1000 * place):
            files[f"{split}/{folder(emotion)}/{number}.png"] = picture
    return files


def rafdb_official() -> Files:
    files, lines = {}, []
    for place, (split, count) in enumerate((("train", 3), ("test", 2))):
        for emotion, number, picture in faces(RAFDB, count, 1000 * place):
            lines.append(f"{split}_{number:05}.jpg {RAFDB.index(emotion) + 1}")
            files[f"basic/Image/aligned/{split}_{number:05}_aligned.jpg"] = picture
            files[f"basic/Image/original/{split}_{number:05}.jpg"] = encoded(np.zeros((90, 80), np.uint8))
    return files | {"basic/EmoLabel/list_patition_label.txt": "\n".join(lines).encode(), "basic/readme.txt": b"drawn"}


def rafdb_kaggle() -> Files:
    files: Files = {}
    for place, (split, count) in enumerate((("train", 3), ("test", 2))):
        lines = ["image,label"]
        for emotion, number, picture in faces(RAFDB, count, 1000 * place):
            name, label = f"{split}_{number:05}_aligned.jpg", RAFDB.index(emotion) + 1
            lines.append(f"{name},{label}")
            files[f"DATASET/{split}/{label}/{name}"] = picture
        files[f"{split}_labels.csv"] = "\r\n".join(lines).encode()
    return files


def affectnet_official() -> Files:
    files: Files = {}
    for place, (split, count) in enumerate((("train_set", 3), ("val_set", 2))):
        for emotion, number, picture in faces(AFFECTNET, count, 1000 * place):
            array = io.BytesIO()
            np.save(array, np.array(str(AFFECTNET.index(emotion))))
            files[f"{split}/images/{number}.jpg"] = picture
            files[f"{split}/annotations/{number}_exp.npy"] = array.getvalue()
            files[f"{split}/annotations/{number}_val.npy"] = b""
    return files


def affectnet_numbered() -> Files:
    return class_folders({"train": 3, "val": 2}, AFFECTNET, lambda emotion: str(AFFECTNET.index(emotion)))


def kdef() -> Files:
    files: Files = {}
    for session in "AB":
        for place, person in enumerate(("F01", "F02", "M01", "M02", "M03")):
            for emotion, number, picture in faces(CODES, 1, 100 * place + (1000 if session == "B" else 0)):
                for angle in ("S", "FL"):
                    name = f"{session}{person}{CODES[emotion]}{angle}"
                    turned = picture if angle == "S" else encoded(255 - face(emotion, number))
                    files[f"KDEF/{session}{person}/{name}.JPG"] = turned
    return files


def ferplus_images() -> Files:
    files: Files = {}
    for place, (split, count) in enumerate((("Train", 3), ("Valid", 2), ("Test", 2))):
        lines = []
        for emotion, number, picture in faces(VOTED[:8], count, 1000 * place):
            votes = [0] * 10
            votes[VOTED.index(emotion)], votes[8] = 9, 1
            lines.append(f'fer{number:07}.png,"(0, 0, 48, 48)",{",".join(map(str, votes))}')
            files[f"data/FER2013{split}/fer{number:07}.png"] = picture
        files[f"data/FER2013{split}/fer{place:07}9.png"] = encoded(face("sad", 5000 + place))
        lines.append(f'fer{place:07}9.png,"(0, 0, 48, 48)",0,0,0,0,0,0,0,0,0,10')
        files[f"data/FER2013{split}/label.csv"] = "\n".join(lines).encode()
    return files


def pixel_csv(rows: Iterator[tuple[str, str]], header: str = "emotion,pixels,Usage") -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows)]).encode()


def text_of(emotion: str, number: int) -> str:
    return " ".join(map(str, face(emotion, number).ravel()))


def ckextended_csv() -> Files:
    order = (*FER2013_CSV_ORDER, "contempt")
    usages = ["Training"] * 3 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    rows = [
        (str(order.index(emotion)), text_of(emotion, 10 * place + copy), usage)
        for place, emotion in enumerate(order)
        for copy, usage in enumerate(usages)
    ]
    return {"ckextended.csv": pixel_csv(rows)}


def challenge_csv() -> Files:
    rows = [
        (str(n), text_of(emotion, 10 * n + copy)) for n, emotion in enumerate(FER2013_CSV_ORDER) for copy in range(5)
    ]
    train = b"\xef\xbb\xbf" + pixel_csv(rows, "emotion,pixels")
    return {"train.csv": train, "test.csv": pixel_csv([(text_of("sad", 900 + n),) for n in range(3)], "pixels")}


def roboflow_folders() -> Files:
    return {f"MMAFEDB/{name}": data for name, data in
            class_folders({"train": 3, "valid": 2, "test": 2}, FER2013_LABELS).items()}  # fmt: skip


ALIASES = ("Anger", "disgusted", "Fearful", "happiness", "calm", "Sadness", "surprised")


def aliases() -> Files:
    names = dict(zip(FER2013_LABELS, ALIASES, strict=True))
    return class_folders({"train": 3, "test": 2}, FER2013_LABELS, names.get)


def images_and_csv() -> Files:
    files, lines = {}, ["image,label"]
    for emotion, number, picture in faces(FER2013_LABELS, 5):
        files[f"images/{number}.png"] = picture
        lines.append(f"{number}.png,{emotion}")
    return files | {"labels.csv": "\n".join(lines).encode()}


def beside() -> Files:
    files = {f"dataset/{name}": data for name, data in
             class_folders({"train": 3, "test": 2}, ("happy", "neutral", "sad")).items()}  # fmt: skip
    other = encoded(face("sad", 7777))
    return files | {"docs/screenshot.png": other, "results/confusion.png": other, "sample images/me.png": other}


def unicode_names() -> Files:
    files = class_folders({"train": 3, "test": 2}, ("happy", "sad", "fear"))
    decomposed = unicodedata.normalize("NFD", "énervé")
    names = {"train/sad": "train/énervé", "test/sad": f"test/{decomposed}", "train/fear": "train/슬픔 "}
    names |= {"test/fear": "test/슬픔", "train/happy": "train/joyeux", "test/happy": "test/joyeux"}
    return {f"{names[name.rpartition('/')[0]]}/{name.rpartition('/')[2]}": data for name, data in files.items()}


def missing_in_test() -> Files:
    files = class_folders({"train": 5}, ("angry", "happy", "sad"))
    return files | class_folders({"test": 3}, ("fear", "happy", "sad"), lambda emotion: emotion) | {
        name: encoded(face("fear", 4000 + place)) for place, name in enumerate(("test/fear/a.png", "test/fear/b.png"))
    }  # fmt: skip


def yolo() -> Files:
    files: Files = {
        "data.yaml": b"train: ../train/images\nval: ../valid/images\nnc: 3\nnames: ['angry', 'happy', 'sad']\n"
    }
    for place, (split, count) in enumerate((("train", 4), ("valid", 2))):
        for emotion, number, _ in faces(("angry", "happy", "sad"), count, 1000 * place):
            canvas = np.full((96, 192), 30, np.uint8)
            canvas[24:72, 96:144] = face(emotion, number)
            files[f"{split}/images/{emotion}{number}.png"] = encoded(canvas)
            line = f"{('angry', 'happy', 'sad').index(emotion)} 0.625 0.5 0.25 0.5\n"
            files[f"{split}/labels/{emotion}{number}.txt"] = line.encode()
    return files


def suffixes() -> Files:
    """Every kind of picture, and what systems leave behind."""
    kinds = {"jpg": "JPEG", "jfif": "JPEG", "jpe": "JPEG", "png": "PNG", "tif": "TIFF", "tiff": "TIFF", "gif": "GIF"}
    files = {"Thumbs.db": b"x", "happy/@eaDir/0.png": b"x", "sad/.ipynb_checkpoints/0.png": b"x"}
    for place, (suffix, kind) in enumerate(kinds.items()):
        for emotion in ("happy", "sad"):
            data = io.BytesIO()
            Image.fromarray(face(emotion, place)).save(data, kind)
            files[f"{emotion}/{place}.{suffix}"] = data.getvalue()
    return files | {f"__MACOSX/{name}": b"x" for name in list(files)}


def sixteen_bit() -> Files:
    """The same faces with 16, 12 and 8 bits in PNGs of 16."""
    depths = {"full": 257, "twelve": 16, "eight": 1}
    return {
        f"{emotion}/{depth}{number}.png": encoded(face(emotion, number).astype(np.uint16) * factor)
        for emotion in ("happy", "sad")
        for number in range(6)
        for depth, factor in depths.items()
    }


def written(files: Files, folder: Path, how: str, name: str = "data") -> Path:
    """Returns the files as a folder, a zip, or a tar with a folder around all of it."""
    if how == "zip":
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        return folder / f"{name}.zip"
    if how == "tar":
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as archive:
            for path, content in files.items():
                info = tarfile.TarInfo(f"{name}/{path}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return folder / f"{name}.tar.gz"
    for path, content in files.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_bytes(content)
    return folder / name
