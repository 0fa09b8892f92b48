"""`make bench`: this project against plain Keras, a tutorial's loop and a tutorial's Flask, on the same data.

    python benchmarks/bench.py                  # everything, an hour or more on two cores
    python benchmarks/bench.py speed start      # images per second, and the second start
    python benchmarks/bench.py sixty            # time to 60 % on the test images
    python benchmarks/bench.py tiny             # latency of the network for live use
    python benchmarks/bench.py live             # start, classification, frames per second, memory
    python benchmarks/bench.py web              # the web page under load

Both run as their users run them, each measurement in a process of its own, ours and the peer in turn, so that a change
in the machine's load meets both. Writes results.json and results.md beside this file.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Literal

import live_bench
import tyro
import web_bench
from harness import HERE, TEST_DATA, Bench, Epoch, Row, conditions, measured, row, table, train_ours, train_plain

BATCH_SIZES = {"baseline": 64, "attention": 32, "deep_l2": 64, "resnet": 128}
"""Of the recipes; the plain script gets the same."""
SAME_SIZE = {"resnet": ["--crop", "48", "--progressive-sizes", "48"]}
"""Flags with which a recipe that trains on smaller pictures takes whole ones, as the plain script does."""
OWN_SIZES = "pictures that grow"
"""The recipe as it is: one epoch of each size, all in one figure."""
TARGETS = {
    "auto": {"baseline": 2.0, "attention": 1.7, "deep_l2": 1.7, "resnet": 1.8},
    "float32": dict.fromkeys(BATCH_SIZES, 1.2),
    OWN_SIZES: dict.fromkeys(SAME_SIZE, 1.8),
}
START_TARGET, STARTS = 5.0, 5
SIXTY_TARGET, PLAIN_EPOCHS = 3.0, 30
TINY_BARS = {"float32": 0.8, "int8": 0.5}
"""Milliseconds for a face."""
PEERS = {"live": "tutorial's loop", "web": "tutorial's Flask"}
"""Of the sections that have a table of their own; the others have plain Keras."""
Network = Literal["baseline", "attention", "deep_l2", "resnet"]
Section = Literal["speed", "start", "sixty", "tiny", "live", "web"]


def speed(bench: Bench, networks: tuple[str, ...], epochs: int) -> list[Row]:
    """Images per second of the training part: the median of all epochs but the first."""
    return [row for network in networks for row in _speed_of(bench, network, epochs)]


def _speed_of(bench: Bench, network: str, epochs: int) -> list[Row]:
    batch_size, flags = BATCH_SIZES[network], SAME_SIZE.get(network, [])
    variants = {precision: ["--precision", precision, *flags] for precision in ("auto", "float32")}
    variants |= {OWN_SIZES: []} if flags else {}
    rates = {}
    for variant, own in variants.items():
        flags = ("--batch-size", str(batch_size), *own)
        trained = train_ours(bench, network, *flags, epochs=epochs, cache=bench.cache)
        rates[variant] = overall(trained) if variant == OWN_SIZES else typical(trained)
    plain = typical(train_plain(bench, network, epochs=epochs, batch_size=batch_size))
    return [
        _against(f"{network}, {variant}: images/s", rate, plain, rate / plain, TARGETS[variant][network])
        for variant, rate in rates.items()
    ]


def typical(epochs: list[Epoch]) -> float:
    """Returns images a second; the first epoch also traces the graph and fills the plain script's cache."""
    return statistics.median(epoch["images_per_second"] for epoch in epochs[1:] or epochs)


def overall(epochs: list[Epoch]) -> float:
    """Returns images a second of epochs of different speeds, as if they were one."""
    return statistics.harmonic_mean(epoch["images_per_second"] for epoch in epochs[1:])


def start(bench: Bench) -> list[Row]:
    """Seconds from the call that loads the data to the first batch, when the data was loaded before."""
    data = {"ours": bench.archive, "plain": bench.unpacked}
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(STARTS + 1):
        for side, source in data.items():
            found = measured(HERE / "measure.py", "first-batch", side, source, cache=bench.cache)
            seconds[side].append(found["seconds"])
    ours, plain = (statistics.median(values[1:]) for values in seconds.values())
    return [_against("second start: seconds to the first batch", ours, plain, plain / ours, START_TARGET)]


def sixty(bench: Bench) -> list[Row]:
    """Seconds from the start of the process to 60 % on the test images; ours decodes the archive in that time."""
    ours, reached, note = time_to_sixty(train_ours(bench, "quick", cache=bench.fresh_folder("cache")))
    epochs = train_plain(bench, "baseline", epochs=PLAIN_EPOCHS, batch_size=64, stop_at=0.6)
    plain, _, plain_note = time_to_sixty(epochs)
    row = _against("quick: seconds to 60 % on test", ours, plain, plain / ours if reached else None, SIXTY_TARGET)
    return [row | {"note": f"ours {note}, plain {plain_note}"}]


def time_to_sixty(epochs: list[Epoch]) -> tuple[float, bool, str]:
    """Returns when a run got to 60 % (or ended, if it did not), whether it did, and a note."""
    for epoch in epochs:
        if epoch["val_accuracy"] >= 0.6:
            return epoch["since_start"], True, f"{epoch['val_accuracy']:.1%} in epoch {epoch['epoch']:.0f}"
    best = max(epoch["val_accuracy"] for epoch in epochs)
    return epochs[-1]["since_start"], False, f"{best:.1%} at best in {len(epochs)} epochs"


def tiny(bench: Bench) -> list[Row]:
    """Milliseconds that the network `tiny` takes for a face in LiteRT on one core."""
    latency = measured(HERE / "measure.py", "latency", cache=bench.cache)
    return [
        row(f"tiny, {form}: ms a face", latency[form], bar=f"≤ {bar} ms", met=latency[form] <= bar)
        for form, bar in TINY_BARS.items()
    ]


def _against(name: str, ours: float, plain: float, ratio: float | None, target: float) -> Row:
    found = row(name, ours, plain, bar=f"≥ {target} ×", met=ratio is not None and ratio >= target)
    return found | {"ratio": ratio}


def markdown(results: dict) -> str:
    """Returns all tables, notes, and on which machines and when they were measured."""
    text = notes = ""
    rows = {name: results["sections"].get(name, {}).get("rows", []) for name in Section.__args__}
    training = [row for name, of_section in rows.items() if name not in PEERS for row in of_section]
    for peer, of_table in [("plain Keras", training), *((peer, rows[name]) for name, peer in PEERS.items())]:
        text += table(of_table, peer) + "\n" if of_table else ""
        notes += "".join(f"{row['name']}: {row['note']}.\n\n" for row in of_table if row.get("note"))
    sources = sorted({f"{section['machine']}, {section['measured'][:10]}" for section in results["sections"].values()})
    return f"{text}{notes}`make bench` on {'; '.join(sources)}.\n"


def main(
    sections: tyro.conf.Positional[tuple[Section, ...]] = Section.__args__,
    data: Path = TEST_DATA / "fer2013.zip",
    networks: tuple[Network, ...] = Network.__args__,
    epochs: int = 4,
    output: Path = HERE / "results.json",
) -> None:
    """Measures the chosen sections, and writes the tables down after each. Others keep their figures.

    Args:
        data: FER-2013 as a zip.
        networks: of the section speed.
        epochs: of its runs.
    """
    if not data.is_file():
        sys.exit(f"There is no {data}.\nGive FER-2013 as a zip with train/ and test/: --data archive.zip")
    results = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {"sections": {}}
    measure = {"start": start, "sixty": sixty, "tiny": tiny, "live": live_bench.live, "web": web_bench.web}
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        bench = Bench(data.resolve(), Path(folder))
        for name in sections:
            print(f"--- {name}", flush=True)
            rows = speed(bench, networks, epochs) if name == "speed" else measure[name](bench)
            results["sections"][name] = conditions() | {"rows": rows}
            output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            output.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    print(f"\n{markdown(results)}\nWritten to {output} and {output.with_suffix('.md')}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
