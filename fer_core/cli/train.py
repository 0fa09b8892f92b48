"""`python train_emotion_model.py`: does what its command line asks for."""

from collections.abc import Sequence

from rich.console import Console

from fer_core import recipes
from fer_core.cli.arguments import command, parse
from fer_core.cli.output import Output, say


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    request = parse(argv)
    console = Output()
    if request.wants == "list-recipes":
        _list_recipes(console)
    elif request.wants == "history":
        from fer_core.cli.histories import show_histories

        show_histories(console, request.paths)
    else:  # needs the images, and what reads them
        from fer_core.cli import training

        {"train": training.train, "audit": training.audit_only, "ensemble": training.average}[request.wants](
            console, request
        )


def _list_recipes(console: Console) -> None:
    for name, make in recipes.RECIPES.items():
        config = make()
        text = (make.__doc__ or "").strip().partition("\n")[0]
        settings = f"network {config.network}, {config.optimizer} {config.learning_rate:g}"
        say(console, f"{name:<14}{text}")
        say(console, f"{'':<14}{settings}, at most {config.epochs} epochs, batch {config.batch_size}")
    say(console, f"\nTrain one: {command('--recipe', 'NAME', '--data', 'PATH')}")
