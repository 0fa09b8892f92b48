"""Analyses a model and reads faces live. `python realtime_emotion_detector.py --help` lists all settings."""

import sys

from fer_core.cli import ended


def main() -> None:
    """Does what the command line asks for."""
    from fer_core.cli.live import main as live

    live(sys.argv[1:])


def run() -> int:
    """Returns the exit code: what `fer-detect` is where the package is installed."""
    return ended(main)


if __name__ == "__main__":
    sys.exit(run())
