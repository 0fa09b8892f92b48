"""The benchmark's arithmetic and its table."""

import json

import pytest


def test_our_epochs_get_their_time_since_the_start_of_the_process(benchmark_file, tmp_path):
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "training_history_20260131_140212.csv").write_text(
        "epoch,val_accuracy,images_per_second,val_loss\n1,0.5,900.5,\n2,0.6,1000,1.5\n", encoding="utf-8"
    )
    run = tmp_path / "models" / "runs" / "a-run"
    run.mkdir(parents=True)
    entries = [
        {"kind": "epoch", "epoch": 1, "time": "1970-01-01T00:01:10.500Z"},
        {"kind": "progress", "epoch": 2, "time": "1970-01-01T00:01:15.000Z"},
        {"kind": "epoch", "epoch": 2, "time": "1970-01-01T00:01:20.000Z"},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    first, second = benchmark_file("sides").read_our_epochs(tmp_path, began=60.0)
    assert first == {"epoch": 1, "val_accuracy": 0.5, "images_per_second": 900.5, "since_start": pytest.approx(10.5)}
    assert second["since_start"] == pytest.approx(20)


def test_the_first_epoch_does_not_count_for_the_speed(benchmark_file):
    epochs = [{"images_per_second": speed} for speed in (10, 300, 100, 200)]
    assert benchmark_file("bench")._typical(epochs) == 200


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((0.5, 0.61, 0.7), (20, True, "61.0% in epoch 2")),
        ((0.5, 0.55, 0.54), (30, False, "55.0% at best in 3 epochs")),
    ],
)
def test_the_time_to_sixty_is_that_of_the_first_epoch_that_gets_there_or_of_all(benchmark_file, accuracies, expected):
    epochs = [
        {"epoch": number, "val_accuracy": accuracy, "since_start": number * 10}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    assert benchmark_file("bench")._sixty(epochs) == expected


def test_results_are_written_as_json_and_as_a_table_that_says_where_and_when(benchmark_file, tmp_path):
    row = {"name": "baseline, auto: images/s", "ours": 2100.4, "plain": 1000.0, "ratio": 2.1, "target": 2.0}
    missed = {
        "name": "to 60 %",
        "ours": 90.0,
        "plain": 80.0,
        "ratio": None,
        "target": 3.0,
        "note": "ours 58.0% at best",
    }
    sections = {
        "sixty": {"measured": "2026-01-31T14:02:12+00:00", "machine": "A CPU", "rows": [missed]},
        "speed": {"measured": "2026-01-31T14:02:12+00:00", "machine": "A CPU", "rows": [row]},
    }
    bench = benchmark_file("bench")
    bench._write(tmp_path / "results.json", {"sections": sections})
    lines = (tmp_path / "results.md").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "| baseline, auto: images/s | 2,100 | 1,000 | 2.10 × | ≥ 2.0 × | yes |"
    assert lines[3] == "| to 60 % | 90 | 80 | not reached | ≥ 3.0 × | no |"
    assert lines[-1] == "`make bench` on A CPU, 2026-01-31."
    assert bench._earlier_results(tmp_path / "results.json") == {"sections": sections}
