"""`python train_emotion_model.py`: does what its command line asks for. What only lists loads nothing heavy."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_core import recipes
from fer_core.cli.arguments import command, parse
from fer_core.cli.output import Output, say
from fer_core.errors import ArtifactError
from fer_core.evaluation.figures import overview_figure, save
from fer_core.paths import Paths
from fer_core.store.runs import list_runs
from fer_core.training.history import History, list_histories

NARROW_COLUMNS = 112
"""In a terminal with fewer, the run stands below its recipe in the list of histories."""


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    request = parse(argv)
    console = Output()
    if request.wants == "list-recipes":
        _list_recipes(console)
    elif request.wants == "history":
        _show_histories(console, request.paths)
    else:  # needs the images, and what reads them
        from fer_core.cli import audit, training

        actions = {"train": training.train, "ensemble": training.average}
        actions |= {"audit": audit.audit_only, "audit-labels": audit.audit_labels}
        actions[request.wants](console, request)


def _list_recipes(console: Console) -> None:
    for name, make in recipes.RECIPES.items():
        config = make()
        text = (make.__doc__ or "").strip().partition("\n")[0]
        settings = f"network {config.network}, {config.optimizer} {config.learning_rate:g}"
        say(console, f"{name:<14}{text}")
        say(console, f"{'':<14}{settings}, at most {config.epochs} epochs, batch {config.batch_size}")
    say(console, f"\nTrain one: {command('--recipe', 'NAME', '--data', 'PATH')}")


def _show_histories(console: Console, paths: Paths) -> None:
    """Prints one line for each training so far, and draws their curves."""
    known = {}
    for run in list_runs(paths):
        try:
            manifest = run.manifest
        except ArtifactError:  # a broken run must not hide the others; its CSV is listed as a file
            continue
        accuracy = (manifest.scores or {}).get("accuracy")
        known[manifest.history_csv] = {"run_id": run.id, "recipe": manifest.recipe, "test_accuracy": accuracy}
    found = list_histories(paths.history, known)
    print_histories(console, found)
    with_rows = [history for history in found if history.curve]
    if with_rows:
        path = paths.history / "overview.png"
        save(overview_figure(with_rows), path)
        say(console, f"Drawn: {path}")


def print_histories(console: Console, histories: Sequence[History]) -> None:
    """Prints one line per history, and below the table what could not be read."""
    is_narrow = console.width < NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, padding=(0, 1 if is_narrow else 2, 0, 0), header_style="bold")
    table.add_column("date (UTC)", no_wrap=True)
    table.add_column("recipe, run or file" if is_narrow else "recipe", overflow="fold")
    for column in ("epochs", "best (epoch)", "last", "test"):
        table.add_column(column, justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("run or file", overflow="fold")
    readable = [history for history in histories if not history.problem]
    for history in readable:
        date, recipe, *figures, source = _cells(history)
        if is_narrow:
            cells = [date.split()[0], source if recipe == "–" else f"{recipe}\n{source}", *figures]
        else:
            cells = [date, recipe, *figures, source]
        table.add_row(*map(Text, cells))
    if readable:
        console.print(table)
    for note in _notes(histories):
        say(console, note)


def _cells(history: History) -> list[str]:
    curve = history.curve
    mark = "" if history.has_validation else "*"
    return [
        f"{history.date:%Y-%m-%d %H:%M}",
        history.recipe or "–",
        str(len(history.rows)),
        f"{history.best[1]:.1%}{mark} ({history.best[0]:>2})" if history.best else "–",
        f"{curve[-1][1]:.1%}{mark}" if curve else "–",
        "–" if history.test_accuracy is None else f"{history.test_accuracy:.1%}",
        history.run_id or history.path.name,
    ]


def _notes(histories: Sequence[History]) -> list[str]:
    if not histories:
        return ["No history yet. `python train_emotion_model.py --data sample` makes one."]
    notes = []
    if any(history.has_validation for history in histories):
        notes.append("best, last: validation accuracy; test: accuracy of the epoch that was kept.")
    if any(history.curve and not history.has_validation for history in histories):
        notes.append("* training accuracy: the file has no val_accuracy.")
    return notes + [f"Left out: {history.problem}" for history in histories if history.problem]
