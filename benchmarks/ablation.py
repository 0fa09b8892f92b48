"""What the ingredients of the recipe `resnet` are worth: each is left out once, a few short epochs, two seeds.

    python benchmarks/ablation.py                     # 12 trainings, hours; can be stopped and started again
    python benchmarks/ablation.py --table             # the table of what there is so far

Scores are of images held out of Training, never of the test images. What is finished is not trained again, and what
was interrupted goes on. Each training leaves a file in docs/runs/ablation.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import tyro
from harness import ROOT, TEST_DATA

SEEDS = (0, 1)
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


def train(name: str, seed: int, *, data: Path, epochs: int, work: Path) -> dict:
    """Trains one variant, or goes on with it, and returns its figures."""
    folder = work / run_file(Path(), name, seed).stem
    paths = ["--models-dir", folder / "models", "--history-dir", folder / "history"]
    settings = ["--recipe", "resnet", "--data", data, "--epochs", epochs, "--seed", seed]
    settings += ["--validation-fraction", HELD_OUT, "--warmup-epochs", 1, "--no-promote", *LEFT_OUT[name]]
    begun = next((folder / "models").glob("runs/[!.]*/manifest.json"), None)
    command = ["train_emotion_model.py", *(["--resume", begun.parent.name] if begun else settings), *paths]
    environment = os.environ | {"FER_CACHE_DIR": str(work / "cache")}
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=environment, check=True)
    return figures(next((folder / "models").glob("runs/[!.]*")), name, LEFT_OUT[name])


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


def table_of(folder: Path) -> str:
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
    epochs = sorted({len(result["epochs"]) for result in results})
    images, accuracy = results[0]["splits"]["validation"]["images"], ends["val_accuracy"].mean()
    points = 196 * math.sqrt(accuracy * (1 - accuracy) / images)
    caption = (
        f"{' or '.join(map(str, epochs))} epochs each; {images:,} images held out of Training; "
        f"the 95 % interval of one accuracy is ± {points:.1f} points."
    )
    return "\n".join([*lines, "", caption])


def main(
    data: Path = TEST_DATA / "fer2013.zip",
    epochs: int = 8,
    work: Path = ROOT / "models" / "ablation",
    output: Path = ROOT / "docs" / "runs" / "ablation",
    table: bool = False,
) -> None:
    """Trains what is not there yet, seed after seed, and prints the table.

    Args:
        data: FER-2013.
        epochs: of each training.
        work: for runs that are under way.
        table: train nothing.
    """
    output.mkdir(parents=True, exist_ok=True)
    for seed in [] if table else SEEDS:
        for name in LEFT_OUT:
            path = run_file(output, name, seed)
            if not path.exists():
                kept = train(name, seed, data=data, epochs=epochs, work=work)
                path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(table_of(output))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
