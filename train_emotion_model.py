"""Trains a network that recognises facial emotions. `python train_emotion_model.py --help` lists all settings."""

import sys

from fer_core.cli import ended


def main() -> None:
    """Does what the command line asks for."""
    from fer_core.cli.train import main as train

    train(sys.argv[1:])


def run() -> int:
    """Returns the exit code: what `fer-train` is where the package is installed."""
    return ended(main)


if __name__ == "__main__":
    sys.exit(run())
