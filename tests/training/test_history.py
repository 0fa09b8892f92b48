import io
import math
import os
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from fer_core.cli.train import print_histories
from fer_core.errors import ArtifactError
from fer_core.training.history import (
    HISTORY_COLUMNS,
    HISTORY_HEADER,
    list_histories,
    read_history,
    write_history,
)

ROW = dict(
    zip(HISTORY_COLUMNS, (1, 1.5, 0.4, 0.3, 0.2, 0.25, 1.4, 0.45, 0.35, 0.3, 0.33, 1e-3, 9.5, 3021.7), strict=True)
)


def csv_file(folder, text: str | bytes, name: str = "other.csv"):
    path = folder / name
    path.write_bytes(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
    return path


def printed(histories, width: int) -> str:
    text = io.StringIO()
    print_histories(Console(file=text, width=width), histories)
    return text.getvalue()


def test_what_was_written_is_one_row_per_epoch_and_read_again_to_the_last_bit(tmp_path):
    rows = [ROW, {**ROW, "epoch": 2, "loss": 1 / 3, "val_loss": 0.1 + 0.2}]
    write_history(tmp_path / "h.csv", rows)
    assert list(read_history(tmp_path / "h.csv").rows) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["h.csv"]
    header, first, _ = (tmp_path / "h.csv").read_text().splitlines()
    assert header == (
        "epoch,loss,accuracy,precision,recall,macro_f1,val_loss,val_accuracy,val_precision,val_recall,val_macro_f1,"
        "learning_rate,seconds,images_per_second"
    )
    assert first == "1,1.5,0.4,0.3,0.2,0.25,1.4,0.45,0.35,0.3,0.33,0.001,9.5,3021.7"


def test_missing_and_nan_values_are_empty_cells_and_another_column_is_our_bug(tmp_path):
    write_history(tmp_path / "h.csv", [{"epoch": 1, "loss": math.nan, "accuracy": 0.5}])
    (row,) = read_history(tmp_path / "h.csv").rows
    assert (row["loss"], row["accuracy"], row["val_accuracy"]) == (None, 0.5, None)
    with pytest.raises(ValueError, match="val_acc"):
        write_history(tmp_path / "h.csv", [{"epoch": 1, "val_acc": 0.5}])
    reserved = read_history(csv_file(tmp_path, HISTORY_HEADER))
    assert (reserved.rows, reserved.best, reserved.curve) == ((), None, [])
    with pytest.raises(ArtifactError, match=r"none\.csv cannot be read: No such file"):
        read_history(tmp_path / "none.csv")


def test_epochs_of_keras_csvlogger_count_from_one_here(tmp_path):
    text = "epoch,accuracy,loss,lr,val_accuracy,val_loss\n0,0.2,1.9,0.001,0.25,1.8\n1,0.3,1.7,0.0005,0.35,1.6\n"
    first, second = read_history(csv_file(tmp_path, text)).rows
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert second == {
        "epoch": 2, "accuracy": 0.3, "loss": 1.7, "learning_rate": 0.0005, "val_accuracy": 0.35, "val_loss": 1.6
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        ",loss,acc,val_loss,val_acc\n0,1.9,0.2,1.8,0.25\n1,1.7,0.3,1.6,0.35\n",
        "Unnamed: 0,Loss,ACC,Val Loss,Val Acc\n0,1.9,0.2,1.8,0.25\n1,1.7,0.3,1.6,0.35\n",
        "loss;accuracy;val_loss;val_accuracy\n1,9;0,2;1,8;0,25\n1,7;0,3;1,6;0,35\n",
        "\ufeffEPOCH,LOSS,ACCURACY,VAL_LOSS,VAL_ACCURACY\r\n1,1.9,20,1.8,25\r\n2,1.7,30,1.6,35\r\n",
        "epoch\tloss\taccuracy\tval_loss\tval_accuracy\n5\t1.9\t20%\t1.8\t25 %\n5\t1.7\t30%\t1.6\t35 %\n",
        "epoch, train_loss, train_acc, valid_loss, validation_accuracy\n\n1, 1.9, .2, 1.8, .25\n2, 1.7, .3, 1.6, .35\n",
        "loss,sparse_categorical_accuracy_1,val_loss,val_sparse_categorical_accuracy,auc_1\n"
        "1.9,0.2,1.8,0.25,x\n1.7,0.3,1.6,0.35,y\n",
    ],
)
def test_histories_of_other_programs_are_read(tmp_path, text):
    first, second = read_history(csv_file(tmp_path, text)).rows
    assert first == pytest.approx({"epoch": 1, "loss": 1.9, "accuracy": 0.2, "val_loss": 1.8, "val_accuracy": 0.25})
    assert second == pytest.approx({"epoch": 2, "loss": 1.7, "accuracy": 0.3, "val_loss": 1.6, "val_accuracy": 0.35})


def test_a_second_header_and_a_cut_last_line_are_left_out(tmp_path):
    text = "epoch,loss,acc\n0,1.9,0.2\nepoch,loss,acc\n0,1.8,0.3\n1,1.7,0.4\n2,1."
    assert [row["accuracy"] for row in read_history(csv_file(tmp_path, text)).rows] == [0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (",,,\n;\n", "is empty"),
        (bytes(range(128, 256)), "is no text"),
        ("a\0b", "is no text"),
        ("name,price\nchair,3\n", r"no column of a training history \(found: name, price\)"),
        ("epoch,seconds\n1,3\n", r"no column of a training history \(found: epoch, seconds\)"),
        ("loss,acc\n1,high\n2,3\n", "'high' as accuracy in line 2, which is no number"),
        ("loss,acc\n1,0.5,7\n2,0.3\n", "3 values in line 2, its first line has 2"),
        ("loss,acc\n1,250\n", "accuracy that are neither shares nor percent"),
        ("loss,acc\n1,-0.5\n", "accuracy that are neither shares nor percent"),
        ("loss,acc\n1," + "9" * 200_000, "is no CSV: field larger than"),
    ],
)
def test_a_file_that_is_no_history_is_named_with_what_is_wrong(tmp_path, text, problem):
    with pytest.raises(ArtifactError, match=f"other.csv .*{problem}") as caught:
        read_history(csv_file(tmp_path, text))
    assert "epoch,loss,accuracy" in caught.value.hint


@given(st.one_of(st.binary(), st.text("0123456789,;.%\n\t\"' -einfacloshv_"), st.text().map("loss,acc\n{}".format)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_it_is_a_history_or_a_named_problem(tmp_path, content):
    path = csv_file(tmp_path, content)
    try:
        rows = read_history(path).rows
    except ArtifactError as error:
        assert str(path) in str(error)
    else:
        assert all(isinstance(row["epoch"], int) for row in rows)


def test_the_best_epoch_is_of_validation_where_there_is_any(tmp_path):
    both = read_history(csv_file(tmp_path, "acc,val_acc\n.5,.4\n.6,.5\n.7,.5\n"))
    alone = read_history(csv_file(tmp_path, "acc,loss\n.5,1\n.6,1\n.7,1\n"))
    assert (both.best, both.has_validation) == ((2, 0.5), True)
    assert (alone.best, alone.has_validation) == ((3, 0.7), False)


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("training_history_20260131_140212.csv", datetime(2026, 1, 31, 14, 2, 12, tzinfo=UTC)),
        ("training_history_20260131_140212_2.csv", datetime(2026, 1, 31, 14, 2, 12, tzinfo=UTC)),
        ("run-20260131-140212.csv", datetime(2026, 1, 31, 14, 2, 12, tzinfo=UTC)),
        ("training_history_20269931_140212.csv", datetime(2020, 1, 1, tzinfo=UTC)),
        ("log.csv", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_date_is_in_the_name_or_that_of_the_file(tmp_path, name, date):
    path = csv_file(tmp_path, HISTORY_HEADER, name)
    seconds = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    os.utime(path, (seconds, seconds))
    assert read_history(path).date == date


@pytest.fixture
def folder(tmp_path):
    csv_file(tmp_path, "acc,val_acc\n.5,.4\n.7,.612\n.9,.58\n", "training_history_20260131_140212.csv")
    csv_file(tmp_path, "acc,loss\n.5,1\n", "training_history_20250101_000000.csv")
    csv_file(tmp_path, "", "training_history_20240101_000000.csv")
    csv_file(tmp_path, "acc\n.5\n", "notes.txt")
    (tmp_path / "search_x").mkdir()
    csv_file(tmp_path / "search_x", "acc\n.5\n", "trial.csv")
    return tmp_path


RUN_ID = "20260131-140212-attention-3f9a"
OF_RUN = {"run_id": RUN_ID, "recipe": "attention", "test_accuracy": 0.605}
RUNS = {"training_history_20260131_140212.csv": OF_RUN}


def test_every_csv_of_the_folder_is_listed_oldest_first(folder):
    broken, foreign, ours = list_histories(folder, RUNS)
    assert "is empty" in broken.problem
    assert (foreign.run_id, len(foreign.rows), foreign.name) == (None, 1, "training_history_20250101_000000")
    assert (ours.run_id, ours.name, ours.best, ours.test_accuracy) == (RUN_ID, "attention", (2, 0.612), 0.605)


def test_the_list_says_date_recipe_epochs_best_last_test_and_run_and_what_it_left_out(folder):
    lines = [" ".join(line.split()) for line in printed(list_histories(folder, RUNS), 120).splitlines()]
    assert lines[:3] == [
        "date (UTC) name or recipe epochs best (epoch) last test run or file",
        "2025-01-01 00:00 – 1 50.0%* ( 1) 50.0%* – training_history_20250101_000000.csv",
        f"2026-01-31 14:02 attention 3 61.2% ( 2) 58.0% 60.5% {RUN_ID}",
    ]
    assert "training_history_20240101_000000.csv is empty." in lines[-1]
    assert any(line.startswith("* training accuracy") for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_names_are_printed_whole_and_as_they_are_at_any_width(folder, width):
    csv_file(folder, "acc\n.5\n", "[red]my run.csv")
    text = printed(list_histories(folder, RUNS), width)
    for name in (RUN_ID, "training_history_20250101_000000.csv", "[red]my run.csv"):
        assert name in text
