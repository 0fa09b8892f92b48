"""What the ingredients of the recipe `resnet` are worth: each is left out once, a few short epochs, two seeds.

    python benchmarks/ablation.py                     # 12 trainings, hours; can be stopped and started again
    python benchmarks/ablation.py --table             # the table of what there is so far

Scores are of images held out of Training, never of the test images. What is finished is not trained again, and what
was interrupted goes on. Each training leaves a file in docs/runs/ablation.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from sides import ROOT, TEST_DATA

EPOCHS, SEEDS = 8, (0, 1)
HELD_OUT = 0.1
LEFT_OUT: dict[str, list[str]] = {
    "everything": [],
    "without squeeze and excitation": ["--network-options.squeeze", "0"],
    "without mixup": ["--mixup", "0"],
    "without erasing and camera": ["--erasing", "0", "--camera", "0"],
    "without growing pictures": ["--progressive-sizes", "44"],
    "without fading": ["--annealing", "0"],
}
CURVES = ("accuracy", "loss", "val_accuracy", "val_macro_f1", "val_loss", "images_per_second")


def run_file(folder: Path, name: str, seed: int) -> Path:
    """Returns where a training's figures are kept."""
    return folder / f"{name.replace(' ', '_')}-seed{seed}.json"


def train(name: str, seed: int, options: argparse.Namespace) -> dict:
    """Trains one variant, or goes on with it, and returns its figures."""
    work = options.work / run_file(Path(), name, seed).stem
    paths = ["--models-dir", work / "models", "--history-dir", work / "history"]
    settings = ["--recipe", "resnet", "--data", options.data, "--epochs", options.epochs, "--seed", seed]
    settings += ["--validation-fraction", HELD_OUT, "--warmup-epochs", 1, "--no-promote", *LEFT_OUT[name]]
    begun = next((work / "models").glob("runs/[!.]*/manifest.json"), None)
    command = ["train_emotion_model.py", *(["--resume", begun.parent.name] if begun else settings), *paths]
    environment = os.environ | {"FER_CACHE_DIR": str(options.work / "cache")}
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=environment, check=True)
    return figures(next((work / "models").glob("runs/[!.]*")), name, LEFT_OUT[name])


def figures(run: Path, name: str, flags: list[str]) -> dict:
    """Returns what is kept of a finished run: its flags, its curve, and what it was trained with and on."""
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    entries = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    epochs = {entry["epoch"]: entry for entry in entries if entry["kind"] == "epoch"}
    return {
        "name": name,
        "flags": flags,
        "seed": manifest["seed"],
        "epochs": [{key: epochs[number][key] for key in ("epoch", *CURVES)} for number in sorted(epochs)],
        **{key: manifest[key] for key in ("precision", "threads", "splits", "versions", "git_commit")},
    }


def table(folder: Path) -> str:
    """Returns the table of all finished trainings in Markdown: held-out accuracy after the last epoch.

    Differences are means over the seeds that a variant and `everything` have in common.
    """
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not results:
        return "Nothing is trained yet."
    ends = pd.DataFrame(
        [{"name": result["name"], "seed": result["seed"]} | result["epochs"][-1] for result in results]
    ).set_index(["name", "seed"])
    percent = 100 * ends["val_accuracy"]
    lines = ["| variant | seeds | held-out accuracy | difference | macro F1 |", "|---|---:|---:|---:|---:|"]
    for name in [name for name in LEFT_OUT if name in percent]:
        each = ", ".join(f"{accuracy:.1f}" for accuracy in percent[name])
        change = (percent[name] - percent.get("everything", percent[name] * math.nan)).mean()
        difference = "" if name == "everything" or math.isnan(change) else f"{change:+.1f}"
        f1 = ends.loc[name, "val_macro_f1"].mean()
        lines.append(
            f"| {name} | {len(percent[name])} | {percent[name].mean():.1f} % ({each}) | {difference} | {f1:.3f} |"
        )
    return "\n".join([*lines, "", _caption(results, ends["val_accuracy"].mean())])


def _caption(results: list[dict], accuracy: float) -> str:
    epochs = sorted({len(result["epochs"]) for result in results})
    images = results[0]["splits"]["validation"]["images"]
    points = 196 * math.sqrt(accuracy * (1 - accuracy) / images)
    return (
        f"{' or '.join(map(str, epochs))} epochs each; {images:,} images held out of Training; "
        f"the 95 % interval of one accuracy is ± {points:.1f} points."
    )


def main() -> None:
    """Trains what is not there yet, seed after seed, and prints the table."""
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    for seed in [] if options.table else SEEDS:
        for name in LEFT_OUT:
            path = run_file(options.output, name, seed)
            if not path.exists():
                path.write_text(json.dumps(train(name, seed, options), indent=1) + "\n", encoding="utf-8")
    print(table(options.output))


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    archive = TEST_DATA / "fer2013.zip"
    parser.add_argument("--data", type=Path, default=archive, help="FER-2013 (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each training (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=ROOT / "models" / "ablation", help="for runs that are under way")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "runs" / "ablation")
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
