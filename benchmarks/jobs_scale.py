"""`make bench-jobs`: one search, 32 workers, thousands of trials, over a real Redis, a worker killed each second.

    python benchmarks/jobs_scale.py                          # random and hyperband to 2,000 trials, bayesian to 300
    python benchmarks/jobs_scale.py random --trials 200

The workers are light ones: light_worker.py says what is real about them. Measured are the seconds that `ask` and `tell`
keep the lock of the search at its end, reading and writing its state included: alone, and while all are at work. Then
it is looked whether a trial was lost, counted or trained twice. Writes jobs_scale.json beside this file.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from job_server import BROKER, JobServer
from rich.console import Console
from rich.table import Table
from sides import processor

HERE = Path(__file__).parent
TRIALS = {"random": 2000, "hyperband": 2000, "bayesian": 300}
BARS = {"random": 0.3, "hyperband": 0.3, "bayesian": 3.0}
"""Seconds, for each of ask and tell, alone."""
COLUMNS = (
    *("oracle", "trials", "workers killed", "minutes", "ask alone, ms", "ask at work, ms (95 %)"),
    *("tell alone, ms", "tell at work, ms (95 %)", "bar, ms", "broker, MB", "lost or doubled"),
)


def measure(options: dict) -> dict:
    """Returns the figures of one search; what it leaves is deleted if it went well."""
    folder = Path(tempfile.mkdtemp(prefix=f"fer-scale-{options['oracle']}-"))
    # With NumPy as its backend, Keras Tuner needs no TensorFlow. What forks the workers finds them by this path only.
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    server = JobServer(folder, KERAS_BACKEND="numpy", PYTHONPATH=path)
    server.start(BROKER)
    try:
        command = [sys.executable, str(HERE / "scale_search.py"), str(folder), json.dumps(options)]
        subprocess.run(command, env=server.environment, check=True)
    finally:
        server.stop()
    figures = json.loads((folder / "figures.json").read_text())
    if figures["problems"]:
        print(f"See {folder}")
    else:
        shutil.rmtree(folder)
    return figures


def table(results: list[dict]) -> Table:
    """Returns the figures as they are printed."""
    shown = Table(*COLUMNS)
    for result in results:
        broker = result["broker"]
        shown.add_row(
            result["oracle"],
            f"{result['told']:,}",
            f"{result['killed']:,}",
            f"{result['seconds'] / 60:.1f}",
            *(cell for part in ("ask", "tell") for cell in _milliseconds(result, part)),
            f"{1000 * BARS[result['oracle']]:,.0f}",
            f"{broker[0]['megabytes']:.1f} to {broker[-1]['megabytes']:.1f}",
            "; ".join(result["problems"]) or "none",
        )
    return shown


def _milliseconds(result: dict, part: str) -> tuple[str, str]:
    alone, at_work = result["alone"][part], result["at_work"][part]
    crowd = f"{1000 * at_work['lock_median']:,.0f} ({1000 * at_work['lock_p95']:,.0f})"
    return f"{1000 * alone['lock_median']:,.0f}", crowd


def is_slow(result: dict) -> bool:
    """Returns whether ask or tell kept the lock for longer than it may."""
    return max(times["lock_median"] for times in result["alone"].values()) > BARS[result["oracle"]]


def main() -> None:
    """Measures the chosen oracles; exit code 1 where something was lost, doubled or too slow."""
    options = parse_options()
    results = []
    for oracle in options.oracles or TRIALS:
        chosen = {name: value for name, value in vars(options).items() if name not in ("oracles", "output", "trials")}
        results.append(measure(chosen | {"oracle": oracle, "trials": options.trials or TRIALS[oracle]}) | _conditions())
    Console(width=None if sys.stdout.isatty() else 200).print(table(results))
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(any(result["problems"] or is_slow(result) for result in results))


def _conditions() -> dict[str, str]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    machine = f"{processor()}, {os.cpu_count()} threads, {platform.system()}, Python {platform.python_version()}"
    return {"measured": now, "machine": machine}


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("oracles", nargs="*", metavar="oracle", help=f"{', '.join(TRIALS)}; default: all of them")
    parser.add_argument("--trials", type=int, help="default: 2,000, bayesian 300")
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--trial-seconds", type=float, default=1.0, help="how long a stub sleeps instead of training")
    parser.add_argument("--last-seconds", type=float, default=20.0, help="the same, in the last tenth of the search")
    parser.add_argument("--kill-every", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-minutes", type=float, default=60)
    parser.add_argument("--output", type=Path, default=HERE / "jobs_scale.json")
    options = parser.parse_args()
    if unknown := set(options.oracles) - set(TRIALS):
        parser.error(f"there is no oracle {unknown.pop()!r}; there are: {', '.join(TRIALS)}")
    return options


if __name__ == "__main__":
    main()
