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
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import live_bench
import sides
import web_bench
from bench_tables import markdown, tables, terminal_table
from rich.console import Console
from sides import Bench, Epoch, Rows

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
START_TARGET, SIXTY_TARGET = 5.0, 3.0
TINY_BARS = {"float32": 0.8, "int8": 0.5}
"""Milliseconds for a face."""


def speed(bench: Bench, options: argparse.Namespace) -> Rows:
    """Images per second of the training part: the median of all epochs but the first, then of the rounds."""
    return [row for network in options.networks for row in _speed_of(bench, network, options)]


def _speed_of(bench: Bench, network: str, options: argparse.Namespace) -> Rows:
    batch_size, flags = BATCH_SIZES[network], SAME_SIZE.get(network, [])
    variants = {precision: ["--precision", precision, *flags] for precision in ("auto", "float32")}
    variants |= {OWN_SIZES: []} if flags else {}
    figures: dict[str, list[float]] = {variant: [] for variant in [*variants, "plain"]}
    for _ in range(options.rounds):
        for variant, own in variants.items():
            own = ["--batch-size", str(batch_size), *own]
            epochs = sides.train_ours(bench, network, *own, epochs=options.epochs, cache=bench.cache)
            figures[variant].append(_overall(epochs) if variant == OWN_SIZES else _typical(epochs))
        plain = sides.train_plain(bench, network, epochs=options.epochs, batch_size=batch_size)
        figures["plain"].append(_typical(plain))
    medians = {variant: statistics.median(values) for variant, values in figures.items()}
    plain = medians.pop("plain")
    return [
        _against(f"{network}, {variant}: images/s", ours, plain, ours / plain, TARGETS[variant][network])
        for variant, ours in medians.items()
    ]


def _typical(epochs: list[Epoch]) -> float:
    """The first epoch also traces the graph and fills the plain script's cache."""
    return statistics.median(epoch["images_per_second"] for epoch in epochs[1:] or epochs)


def _overall(epochs: list[Epoch]) -> float:
    """Of epochs of different speeds, as if they were one."""
    return statistics.harmonic_mean(epoch["images_per_second"] for epoch in epochs[1:])


def start(bench: Bench, options: argparse.Namespace) -> Rows:
    """Seconds from the call that loads the data to the first batch, when the data was loaded before."""
    data = {"ours": bench.archive, "plain": bench.unpacked}

    def first_batch(side: str) -> float:
        command = (sides.HERE / "one_core.py", "first-batch", side, data[side])
        return sides.measured(bench.console, *command, cache=bench.cache)["seconds"]

    pairs = [(first_batch("ours"), first_batch("plain")) for _ in range(options.starts + 1)][1:]
    ours, plain = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return [_against("second start: seconds to the first batch", ours, plain, plain / ours, START_TARGET)]


def sixty(bench: Bench, options: argparse.Namespace) -> Rows:
    """Seconds from the start of the process to 60 % on the test images; ours decodes the archive in that time."""
    recipe, flags = options.sixty_recipe, options.sixty_flags.split()
    epochs, cache = options.sixty_epochs, bench.fresh_folder("cache")
    ours, reached, note = _sixty(sides.train_ours(bench, recipe, *flags, epochs=epochs, cache=cache))
    plain_epochs = sides.train_plain(bench, "baseline", epochs=options.plain_epochs, batch_size=64, stop_at=0.6)
    plain, _, plain_note = _sixty(plain_epochs)
    name = f"{' '.join((recipe, *flags))}: seconds to 60 % on test"
    row = _against(name, ours, plain, plain / ours if reached else None, SIXTY_TARGET)
    return [row | {"note": f"ours {note}, plain {plain_note}"}]


def _sixty(epochs: list[Epoch]) -> tuple[float, bool, str]:
    """Returns when a run got to 60 % (or ended, if it did not), whether it did, and a note."""
    for epoch in epochs:
        if epoch["val_accuracy"] >= 0.6:
            return epoch["since_start"], True, f"{epoch['val_accuracy']:.1%} in epoch {epoch['epoch']:.0f}"
    best = max(epoch["val_accuracy"] for epoch in epochs)
    return epochs[-1]["since_start"], False, f"{best:.1%} at best in {len(epochs)} epochs"


def tiny(bench: Bench, options: argparse.Namespace) -> Rows:
    """Milliseconds that the network `tiny` takes for a face in LiteRT on one core."""
    latency = sides.measured(bench.console, sides.HERE / "tiny_latency.py", cache=bench.cache)
    return [
        sides.row(f"tiny, {form}: ms a face", latency[form], bar=f"≤ {bar} ms", met=latency[form] <= bar)
        for form, bar in TINY_BARS.items()
    ]


def _against(name: str, ours: float, plain: float, ratio: float | None, target: float) -> dict[str, object]:
    return {"name": name, "ours": ours, "plain": plain, "ratio": ratio, "target": target}


SECTIONS: dict[str, Callable[[Bench, argparse.Namespace], Rows]] = {
    "speed": speed,
    "start": start,
    "sixty": sixty,
    "tiny": tiny,
    "live": live_bench.live,
    "web": web_bench.web,
}


def main() -> None:
    """Measures the chosen sections, prints the table and writes it down after each."""
    options = parse_options()
    if not options.data.is_file():
        sys.exit(f"There is no {options.data}.\nGive FER-2013 as a zip with train/ and test/: --data archive.zip")
    console, results = Console(), _earlier_results(options.output)
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        bench = Bench(options.data.resolve(), Path(folder), console)
        for section in options.sections or SECTIONS:
            console.rule(section)
            rows = SECTIONS[section](bench, options)
            if section == "web" and options.web_rows:
                rows = _updated(results["sections"].get(section, {}).get("rows", []), rows)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            results["sections"][section] = {"measured": now, "machine": sides.machine(), "rows": rows}
            _write(options.output, results)
    for columns, rows in tables(results, list(SECTIONS)):
        console.print(terminal_table(columns, rows))
    console.print(f"Written to {options.output} and {options.output.with_suffix('.md')}")


def _earlier_results(path: Path) -> dict:
    """Sections that are not measured this time keep their figures, with their own date and machine."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"sections": {}}


def _updated(earlier: Rows, rows: Rows) -> Rows:
    """Rows that are not measured this time keep their figures."""
    return list({row["name"]: row for row in [*earlier, *rows]}.values())


def _write(path: Path, results: dict) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(results, list(SECTIONS)), encoding="utf-8")


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = f"{', '.join(SECTIONS)}; without any: all"
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], metavar="SECTION", help=names)
    archive = sides.TEST_DATA / "fer2013.zip"
    parser.add_argument("--data", type=Path, default=archive, help="FER-2013 as a zip (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", choices=BATCH_SIZES, default=list(BATCH_SIZES))
    parser.add_argument("--epochs", type=int, default=4, help="of a speed run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="speed: how often ours and plain take turns")
    parser.add_argument("--starts", type=int, default=5, help="start, live, web: how often a start is measured")
    parser.add_argument("--sixty-recipe", default="quick", help="sixty: the recipe (default: %(default)s)")
    parser.add_argument("--sixty-flags", default="", help="sixty: more flags of the recipe's run, in one string")
    parser.add_argument("--sixty-epochs", type=int, default=None, help="sixty: of our run (default: the recipe's)")
    parser.add_argument("--plain-epochs", type=int, default=30, help="sixty: of the plain script, at most")
    parser.add_argument("--soak-frames", type=int, default=20_000, help="live: frames until memory is measured")
    parser.add_argument("--web-rows", nargs="+", choices=web_bench.ROWS, help="web: only these rows")
    parser.add_argument("--soak-requests", type=int, default=20_000, help="web: requests until memory is measured")
    parser.add_argument("--output", type=Path, default=sides.HERE / "results.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
