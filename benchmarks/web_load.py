"""A load generator for the web page: so many clients, each sending its next picture when the last is answered.

    python -m benchmarks.web_load http://127.0.0.1:5000 picture.jpg --clients 16 --requests 2000

Plain sockets that stay open, so that it takes little of the two cores itself. Prints one line of JSON.
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

BOUNDARY = "----------------------------fer"


class Load(NamedTuple):
    """What was measured: seconds of each answer, and how many there were of each status."""

    seconds: list[float]
    statuses: dict[int, int]
    faces: int
    told_when: int
    """Answers that said when to come again."""
    wall: float


def multipart(picture: bytes, *, host: str, path: str) -> bytes:
    """Returns a whole request with one picture as field `image`."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def measured(url: str, pictures: list[bytes], *, path: str, clients: int, requests: int) -> Load:
    """Returns what so many requests took, sent by so many clients at a time."""
    address = urlsplit(url)
    messages = [multipart(picture, host=address.netloc, path=path) for picture in pictures]
    numbers = iter(range(requests))
    load = Load([], {}, 0, 0, 0.0)
    faces = told_when = 0

    async def client() -> None:
        nonlocal faces, told_when
        predictor = writer = None
        for number in numbers:
            if writer is None:
                predictor, writer = await asyncio.open_connection(address.hostname, address.port)
            began = time.perf_counter()
            writer.write(messages[number % len(messages)])
            status, head, body = await _answer(predictor)
            load.seconds.append(time.perf_counter() - began)
            load.statuses[status] = load.statuses.get(status, 0) + 1
            faces += body.count(b'"label"')
            told_when += b"\r\nretry-after:" in head
            if b"connection: close" in head:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return load._replace(wall=time.perf_counter() - began, faces=faces, told_when=told_when)


async def _answer(predictor: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Returns status, head in small letters, and body."""
    head = (await predictor.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    body = await predictor.readexactly(length)
    return int(head.split(b" ", 2)[1]), head, body


def summary(load: Load) -> dict[str, object]:
    """Returns the figures that benchmarks show; times in milliseconds."""
    ordered = sorted(load.seconds)
    return {
        "requests": len(ordered),
        "rate": len(ordered) / load.wall,
        "median_ms": statistics.median(ordered) * 1000,
        "p95_ms": ordered[int(len(ordered) * 0.95)] * 1000,
        "longest_ms": ordered[-1] * 1000,
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        "faces": load.faces,
        "told_when": load.told_when,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--path", default="/api/v1/predict")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    pictures = [path.read_bytes() for path in options.pictures]
    load = measured(options.url, pictures, path=options.path, clients=options.clients, requests=options.requests)
    print(json.dumps(summary(asyncio.run(load))))


if __name__ == "__main__":
    main()
