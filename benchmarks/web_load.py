"""A load generator for the web page: so many clients, each sending its next picture when the last is answered.

    python benchmarks/web_load.py http://127.0.0.1:5000 picture.jpg --clients 16 --requests 2000

Plain sockets that stay open, so that it takes little of the two cores itself. Prints one line of JSON: requests a
second, milliseconds, how many answers of each status, faces in them, and answers that said when to come again.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

BOUNDARY = "----------------------------fer"


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


class Load:
    """Requests of clients that take turns with the messages, and what the answers were."""

    def __init__(self, host: str, port: int, messages: list[bytes]):
        self._address, self._messages = (host, port), messages
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.faces = self.told_when = 0

    async def client(self, numbers: Iterator[int]) -> None:
        """Sends until the numbers, which all clients share, are used up."""
        reader = writer = None
        for number in numbers:
            if writer is None:
                reader, writer = await asyncio.open_connection(*self._address)
            began = time.perf_counter()
            writer.write(self._messages[number % len(self._messages)])
            head = await self._answer(reader)
            self.seconds.append(time.perf_counter() - began)
            if b"connection: close" in head:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """Counts an answer and returns its head in small letters."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        self.statuses[int(head.split(b" ", 2)[1])] += 1
        self.faces += body.count(b'"label"')
        self.told_when += b"\r\nretry-after:" in head
        return head


async def measured(options: argparse.Namespace) -> dict[str, object]:
    """Returns the figures that benchmarks show."""
    address = urlsplit(options.url)
    pictures = [path.read_bytes() for path in options.pictures]
    messages = [multipart(picture, host=address.netloc, path=options.path) for picture in pictures]
    load, numbers = Load(address.hostname, address.port, messages), iter(range(options.requests))
    began = time.perf_counter()
    await asyncio.gather(*(load.client(numbers) for _ in range(options.clients)))
    wall = time.perf_counter() - began
    ordered = sorted(load.seconds)
    return {
        "requests": len(ordered),
        "rate": len(ordered) / wall,
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
    print(json.dumps(asyncio.run(measured(parser.parse_args()))))


if __name__ == "__main__":
    main()
