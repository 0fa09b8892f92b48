"""A soak of the web page: thousands of malformed uploads and bodies. No 500, no growth, no file left behind.

    python benchmarks/web_soak.py --faces ../shared/data/faces --uploads 6000

Each upload is made from its number alone, so that one that fails can be sent again. The last line is JSON; the exit
code is 1 where something did not hold.
"""

import json
import random
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests
import tyro
from harness import TEST_DATA, serving
from urllib3 import encode_multipart_formdata

PATHS = ("/api/v1/predict", "/api/v1/predict", "/api/v1/live", "/", "/corrections", "/api/v1/jobs", "/nothing")
_SESSION = {"session": "0123456789"}


class Upload(NamedTuple):
    """A request that is wrong in some way."""

    path: str
    body: bytes
    headers: dict[str, str]
    kind: str


def malformed(number: int, pictures: list[bytes]) -> Upload:
    """Returns the upload of this number: of a few kinds in turn, otherwise by chance."""
    chance = random.Random(number)
    kind = _KINDS[number % len(_KINDS)]
    made = kind(chance, chance.choice(pictures))
    path = chance.choice(PATHS)
    body, headers = made if isinstance(made, tuple) else _multipart(chance, made)
    return Upload(path, body, headers, kind.__name__.strip("_"))


def _cut_short(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def _changed(chance: random.Random, picture: bytes) -> bytes:
    """Somewhere, or in its head alone."""
    data, end = bytearray(picture), chance.choice((600, len(picture)))
    for _ in range(chance.randrange(1, 60)):
        data[chance.randrange(2, end)] = chance.randrange(256)
    return bytes(data)


def _random_bytes(chance: random.Random, picture: bytes) -> bytes:
    start = chance.choice((b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\x00\x00\x00\x00WEBP", b"GIF89a"))
    return start + chance.randbytes(chance.randrange(4000))


def _bomb(chance: random.Random, picture: bytes) -> bytes:
    """A PNG of a few kilobytes that declares up to 4 billion pixels; some stay just below the limit."""
    width, height = chance.choice(((30_000, 30_000), (65_535, 65_535), (7_000, 7_000), (2**31 - 1, 1), (0, 0)))
    lines = zlib.compress(bytes(chance.randrange(1, 2**20)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, chance.choice((0, 2, 6)), 0, 0, 0)),
            (b"IDAT", lines),
            (b"IEND", b""),
        )
    )


def _wrong_type(chance: random.Random, picture: bytes) -> tuple[bytes, dict[str, str]]:
    kinds = ("text/plain", "application/xml", "image/jpeg", "application/json", "multipart/form-data", "", "\x7f/\x7f")
    return picture, {"Content-Type": chance.choice(kinds)}


def _broken_form(chance: random.Random, picture: bytes) -> tuple[bytes, dict[str, str]]:
    body, headers = _multipart(chance, picture)
    return _cut_short(chance, body), headers


def _strange_json(chance: random.Random, picture: bytes) -> tuple[bytes, dict[str, str]]:
    values = (
        *("{", "[]", "null", '"text"', "{}", '{"images": null}', '{"images": [1]}', '{"images": ["\\ud800"]}'),
        *('{"images": ["data:image/png;base64,"]}', '{"images": ["AAAA"], "faces": 1}', "[" * 5000, "1" * 5000, "NaN"),
        *('{"task": "train", "arguments": {"epochs": 1e999}}', '{"task": []}', '{"images": {"a": "b"}}', "\x00"),
    )
    return chance.choice(values).encode("utf-8", "surrogatepass"), {"Content-Type": "application/json"}


def _strange_name(chance: random.Random, picture: bytes) -> tuple[bytes, dict[str, str]]:
    names = ("../../../etc/passwd", "a\x00.jpg", "C:\\x.jpg", "<script>", "a" * 5000, "\u202egpj.exe", ".", "")
    return _multipart(chance, picture[:2000], name=chance.choice(names))


_KINDS: tuple[Callable, ...] = (
    *(_cut_short, _changed, _random_bytes, _bomb),
    *(_wrong_type, _broken_form, _strange_json, _strange_name),
)


def _multipart(chance: random.Random, data: bytes, *, name: str = "a.jpg") -> tuple[bytes, dict[str, str]]:
    kind = chance.choice(("image/jpeg", "text/html", "x"))
    fields = {"image": (name, data, kind), "faces": chance.choice(("find", "given", "auto", "", "\x00"))}
    body, content_type = encode_multipart_formdata(fields | _SESSION, boundary="a-boundary-of-the-soak")
    return body, {"Content-Type": content_type}


def send(url: str, session: requests.Session, upload: Upload) -> int:
    """Sends an upload as a page of the server would, and returns the status."""
    answer = session.post(url + upload.path, data=upload.body, headers={"Origin": url} | upload.headers, timeout=60)
    return answer.status_code


def soak(folder: Path, pictures: list[bytes], uploads: int) -> dict:
    """Returns what became of so many uploads to a server of its own."""
    session, statuses, wrong, megabytes = requests.Session(), Counter(), [], 0.0
    (folder / "tmp").mkdir()
    places = {"FER_CACHE_DIR": "cache", "FER_INBOX": "inbox", "TMPDIR": "tmp", "FER_STATE_DIR": "state"}
    variables = {name: str(folder / place) for name, place in places.items()}
    with serving("-m", "fer_core.web", "--models-dir", folder / "models", "--port", **variables) as server:
        before = set(folder.rglob("*"))
        for number in range(uploads):
            upload = malformed(number, pictures)
            status = send(server.url, session, upload)
            statuses[status] += 1
            if status >= 500:
                wrong.append(f"{number} {upload.kind} {upload.path}: {status}")
            if number == uploads // 4:  # what a library sets aside once is there by then
                megabytes = server.megabytes
        answer = session.post(f"{server.url}/api/v1/predict", files={"image": pictures[0]}, timeout=60)
        return {
            "uploads": uploads,
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "server_errors": wrong,
            "files_left": sorted(str(path) for path in set(folder.rglob("*")) - before if path.is_file()),
            "megabytes_grown": round(server.megabytes - megabytes, 1),
            "still_answers": answer.status_code == 200 and len(answer.json()["images"][0]["faces"]) == 1,
        }


def main(faces: Path = TEST_DATA / "faces", uploads: int = 6000) -> None:
    """Runs the soak."""
    pictures = [(faces / name).read_bytes() for name in ("photo_happy.jpg", "mountain.jpg")]
    with tempfile.TemporaryDirectory(prefix="fer-soak-") as folder:
        result = soak(Path(folder), pictures, uploads)
    print(json.dumps(result))
    holds = not result["server_errors"] and not result["files_left"] and result["megabytes_grown"] <= 10
    sys.exit(0 if holds and result["still_answers"] else 1)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
