"""`gc`: frees disk room. What goes and what stays is in `jobs/garbage.py`."""

from typing import Annotated

from tyro.conf import arg

from fer_core.errors import ConfigError
from jobs.commands.context import Context, new_table
from jobs.garbage import Garbage, find_garbage, remove_garbage

KEEP_DAYS = 30.0


def clean(
    context: Context,
    *,
    keep_days: Annotated[float, arg(metavar="DAYS")] = KEEP_DAYS,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Remove what nobody needs any more: old checkpoints, weights of lesser trials, leftovers, old job records.

    Never the model in use, those before it, shipped models, or anything that is not finished.

    Args:
        keep_days: Job records, their logs and analyses are kept for so long.
        dry_run: List it with its size, and remove nothing.
        json: As JSON, for other programs.
    """
    if keep_days < 0:
        raise ConfigError(f"--keep-days is at least 0, not {keep_days:g}.", hint="Leave it out for 30 days.")
    found = find_garbage(context.paths, keep_days=keep_days, now=context.clock())
    freed = 0 if dry_run else remove_garbage(context.paths, found)
    if json:
        listed = [garbage._asdict() | {"path": str(garbage.path)} for garbage in found]
        context.say_json({"dry_run": dry_run, "freed": freed, "found": listed})
        return
    if dry_run:
        _print(context, found)
    total = sum(garbage.size for garbage in found)
    sentence = f"{_size(total)} could be freed." if dry_run else f"{_size(freed)} freed."
    context.say(f"{len(found):,} files and folders, {sentence}" if found else "There is nothing to remove.")


def _print(context: Context, found: list[Garbage]) -> None:
    table = new_table("size", "what", "where", right=("size",))
    for garbage in found:
        table.add_row(_size(garbage.size), garbage.kind, str(garbage.path))
    if found:
        context.show(table)


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
