"""`make bench`: this project against a plain Keras script of the same networks, on the same data, in one session.

    python benchmarks/bench.py                  # everything, an hour or more on two cores
    python benchmarks/bench.py speed start      # images per second, and the second start
    python benchmarks/bench.py sixty            # time to 60 % on the test images
    python benchmarks/bench.py tiny             # latency of the network for live use
    python benchmarks/bench.py live             # start, classification, frames per second, memory
    python benchmarks/bench.py web              # the web page under load; --web-rows alone load … for some rows

Both sides run as their users run them, each measurement in a process of its own, ours and the plain script in turn, so
that a change in the machine's load meets both. Writes results.json and results.md beside this file.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import live_bench
import sides
import web_bench
from bench_tables import Rows, markdown, tables, terminal_table
from rich.console import Console

HERE = Path(__file__).parent
EPOCHS = 4
BATCH_SIZES = {"baseline": 64, "attention": 32, "deep_l2": 64, "resnet": 128}
"""Of the recipes; the plain script gets the same."""
SAME_SIZE = {"resnet": ["--crop", "48", "--train-sides", "48"]}
"""Flags with which a recipe that trains on smaller pictures takes whole ones, as the plain script does."""
OWN_SIZES = "pictures that grow"
"""The recipe as it is: one epoch of each size, all in one figure."""
TARGETS = {
    "auto": {"baseline": 2.0, "attention": 1.7, "deep_l2": 1.7, "resnet": 1.8},
    "float32": dict.fromkeys(BATCH_SIZES, 1.2),
    OWN_SIZES: dict.fromkeys(SAME_SIZE, 1.8),
}
TINY_BARS = {"float32": 0.8, "int8": 0.5}
"""Milliseconds for a face."""
START_TARGET = 5.0
SIXTY_TARGET = 3.0
PLAIN_EPOCHS = 30


def speed(bench: sides.Bench, options: argparse.Namespace) -> Rows:
    """Images per second of the training part: the median of all epochs but the first, then of the rounds."""
    return [row for network in options.networks for row in _speed_of(bench, network, options)]


def _speed_of(bench: sides.Bench, network: str, options: argparse.Namespace) -> Rows:
    shared = {"epochs": options.epochs, "batch_size": BATCH_SIZES[network]}
    variants = _variants(network)
    figures: dict[str, list[float]] = {variant: [] for variant in [*variants, "plain"]}
    for _ in range(options.rounds):
        for variant, flags in variants.items():
            epochs = sides.train_ours(bench, network, flags, **shared)
            figures[variant].append(_overall(epochs) if variant == OWN_SIZES else _typical(epochs))
        figures["plain"].append(_typical(sides.train_plain(bench, network, **shared)))
    medians = {side: statistics.median(values) for side, values in figures.items()}
    return [
        _row(
            f"{network}, {variant}: images/s",
            ours=medians[variant],
            plain=medians["plain"],
            ratio=medians[variant] / medians["plain"],
            target=TARGETS[variant][network],
        )
        for variant in variants
    ]


def _variants(network: str) -> dict[str, list[str]]:
    """Returns the flags of each of our sides."""
    flags = SAME_SIZE.get(network, [])
    variants = {precision: ["--precision", precision, *flags] for precision in ("auto", "float32")}
    return variants | ({OWN_SIZES: []} if flags else {})


def start(bench: sides.Bench, options: argparse.Namespace) -> Rows:
    """Seconds from the call that loads the data to the first batch, when the data was loaded before."""
    for side in ("ours", "plain"):
        sides.first_batch(bench, side)
    pairs = [(sides.first_batch(bench, "ours"), sides.first_batch(bench, "plain")) for _ in range(options.starts)]
    ours, plain = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return [
        _row(
            "second start: seconds to the first batch", ours=ours, plain=plain, ratio=plain / ours, target=START_TARGET
        )
    ]


def sixty(bench: sides.Bench, options: argparse.Namespace) -> Rows:
    """Seconds from the start of the process to 60 % on the test images; ours decodes the archive in that time."""
    recipe, flags = options.sixty_recipe, options.sixty_flags
    ours = _sixty(
        sides.train_ours(bench, recipe, flags.split(), epochs=options.sixty_epochs, cache=bench.fresh_cache())
    )
    plain = _sixty(sides.train_plain(bench, "baseline", epochs=options.plain_epochs, batch_size=64, stop_at=0.6))
    row = _row(
        f"{' '.join((recipe, flags)).strip()}: seconds to 60 % on test",
        ours=ours.seconds,
        plain=plain.seconds,
        ratio=plain.seconds / ours.seconds if ours.reached else None,
        target=SIXTY_TARGET,
    )
    return [row | {"note": f"ours {ours.note}, plain {plain.note}"}]


def tiny(bench: sides.Bench, options: argparse.Namespace) -> Rows:
    """Milliseconds that the network `tiny` takes for a face in LiteRT on one core."""
    found = sides.tiny_latency(bench)
    return [
        {"name": f"tiny, {form}: ms a face", "ours": found[form], "plain": None, "ratio": None}
        | {"bar": f"≤ {bar} ms", "met": found[form] <= bar}
        for form, bar in TINY_BARS.items()
    ]


class Sixty(NamedTuple):
    """When a run got to 60 %, or when it ended if it did not."""

    seconds: float
    reached: bool
    note: str


def _sixty(epochs: list[sides.Epoch]) -> Sixty:
    for epoch in epochs:
        if epoch["val_accuracy"] >= 0.6:
            return Sixty(epoch["since_start"], True, f"{epoch['val_accuracy']:.1%} in epoch {epoch['epoch']:.0f}")
    best = max(epoch["val_accuracy"] for epoch in epochs)
    return Sixty(epochs[-1]["since_start"], False, f"{best:.1%} at best in {len(epochs)} epochs")


def live(bench: sides.Bench, options: argparse.Namespace) -> Rows:
    """Start, classification, pipeline and memory of the live view, beside a loop as tutorials write it."""
    return live_bench.live(
        options.data.parent,
        bench.fresh_folder("live"),
        bench.console,
        starts=options.starts,
        soak_frames=options.soak_frames,
    )


def web(bench: sides.Bench, options: argparse.Namespace) -> Rows:
    """Start, answers, load, memory and overload of the web page, beside an application as tutorials write it.

    Rows that are not measured this time keep their figures.
    """
    rows = web_bench.web(
        options.data.parent,
        bench.fresh_folder("web"),
        bench.console,
        rows=options.web_rows,
        starts=options.starts,
        soak_requests=options.soak_requests,
    )
    new = {row["name"]: row for row in rows}
    before = _earlier_results(options.output)["sections"].get("web", {}).get("rows", []) if options.web_rows else []
    kept = [new.pop(row["name"], row) for row in before]
    return [*kept, *new.values()]


def _typical(epochs: list[sides.Epoch]) -> float:
    """The first epoch also traces the graph and fills the plain script's cache."""
    return statistics.median(epoch["images_per_second"] for epoch in epochs[1:] or epochs)


def _overall(epochs: list[sides.Epoch]) -> float:
    """Of epochs of different speeds, as if they were one."""
    return statistics.harmonic_mean(epoch["images_per_second"] for epoch in epochs[1:])


def _row(name: str, *, ours: float, plain: float, target: float, ratio: float | None) -> dict[str, object]:
    return {"name": name, "ours": ours, "plain": plain, "ratio": ratio, "target": target}


SECTIONS: dict[str, Callable[[sides.Bench, argparse.Namespace], Rows]] = {
    "speed": speed,
    "start": start,
    "sixty": sixty,
    "tiny": tiny,
    "live": live,
    "web": web,
}


def main() -> None:
    """Measures the chosen sections, prints the table and writes it down after each."""
    options = parse_options()
    console = Console()
    results = _earlier_results(options.output)
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        bench = sides.prepare(options.data, Path(folder), console)
        for section in options.sections or SECTIONS:
            console.rule(section)
            results["sections"][section] = {
                "measured": _now(),
                "machine": _machine(),
                "rows": SECTIONS[section](bench, options),
            }
            _write(options.output, results)
    for columns, rows in tables(results, list(SECTIONS)):
        console.print(terminal_table(columns, rows))
    console.print(f"Written to {options.output} and {options.output.with_suffix('.md')}")


def _earlier_results(path: Path) -> dict:
    """Sections that are not measured this time keep their figures, with their own date and machine."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"sections": {}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _machine() -> str:
    return f"{sides.processor()}, {os.cpu_count()} threads, {platform.system()}, Python {platform.python_version()}"


def _write(path: Path, results: dict) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(results, list(SECTIONS)), encoding="utf-8")


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    default_data = Path(os.environ.get("FER_TEST_DATA") or HERE.parent.parent / "shared" / "data") / "fer2013.zip"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sections",
        nargs="*",
        choices=[[], *SECTIONS],
        metavar="SECTION",
        help=f"{', '.join(SECTIONS)}; without any: all",
    )
    parser.add_argument("--data", type=Path, default=default_data, help="FER-2013 as a zip (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", choices=BATCH_SIZES, default=list(BATCH_SIZES))
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of a speed run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="speed: how often ours and plain take turns")
    parser.add_argument("--starts", type=int, default=5, help="start: how often it is measured")
    parser.add_argument("--sixty-recipe", default="quick", help="sixty: the recipe (default: %(default)s)")
    parser.add_argument("--sixty-flags", default="", help="sixty: more flags of the recipe's run, in one string")
    parser.add_argument("--sixty-epochs", type=int, default=None, help="sixty: of our run (default: the recipe's)")
    parser.add_argument("--plain-epochs", type=int, default=PLAIN_EPOCHS, help="sixty: of the plain script, at most")
    parser.add_argument("--soak-frames", type=int, default=20_000, help="live: frames until memory is measured")
    parser.add_argument("--web-rows", nargs="+", choices=web_bench.ROWS, help="web: only these rows")
    parser.add_argument("--soak-requests", type=int, default=20_000, help="web: requests until memory is measured")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
