"""The ablation's files and its table."""

import argparse
import json

import pytest

from fer_core.cli.arguments import parse


@pytest.fixture
def ablation(benchmark_file):
    return benchmark_file("ablation")


def test_what_is_left_out_are_flags_of_the_script_that_change_the_recipe(ablation):
    whole = parse(["--recipe", "resnet"]).config
    assert len(ablation.LEFT_OUT) == 6
    for name, flags in ablation.LEFT_OUT.items():
        assert (parse(["--recipe", "resnet", *flags]).config == whole) == (name == "everything")


def test_the_table_has_means_over_seeds_and_differences_to_everything(ablation, tmp_path):
    for name, seed, accuracy in (("everything", 0, 0.6), ("everything", 1, 0.62), ("without mixup", 0, 0.605)):
        end = {"val_accuracy": accuracy, "val_macro_f1": 0.5}
        content = result(name, seed) | {"epochs": [{"val_accuracy": 0, "val_macro_f1": 0}, end]}
        ablation.run_file(tmp_path, name, seed).write_text(json.dumps(content), encoding="utf-8")
    assert ablation.table(tmp_path).splitlines()[2:] == [
        "| everything | 2 | 61.0 % (60.0, 62.0) |  | 0.500 |",
        "| without mixup | 1 | 60.5 % (60.5) | +0.5 | 0.500 |",
        "",
        "2 epochs each; 2,400 images held out of Training; the 95 % interval of one accuracy is ± 2.0 points.",
    ]


def test_what_is_kept_of_a_run_has_its_curve_and_no_path(ablation, trained_run):
    kept = ablation.figures(trained_run.folder, "everything", [])
    assert [row["epoch"] for row in kept["epochs"]] == [1, 2, 3]
    assert kept["epochs"][-1]["val_accuracy"] == trained_run.manifest.scores["val_accuracy"]
    assert str(trained_run.folder.parent) not in json.dumps(kept)


def test_what_is_finished_is_not_trained_again(ablation, tmp_path, monkeypatch, capsys):
    trained = []
    options = argparse.Namespace(table=False, output=tmp_path)
    monkeypatch.setattr(ablation, "parse_options", lambda: options)
    monkeypatch.setattr(
        ablation, "train", lambda name, seed, options: trained.append((name, seed)) or result(name, seed)
    )
    ablation.main()
    assert len(trained) == 12
    ablation.main()
    assert len(trained) == 12
    assert capsys.readouterr().out.count("without fading") == 2


def result(name, seed):
    epochs = [{"epoch": 1, "val_accuracy": 0.5, "val_macro_f1": 0.4}]
    return {"name": name, "seed": seed, "epochs": epochs, "splits": {"validation": {"images": 2400}}}
