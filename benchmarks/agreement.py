"""How far the two runtimes are apart: LiteRT and Keras on all test images of FER-2013.

python -m benchmarks.agreement --data ../shared/data/fer2013.zip
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.sides import TEST_DATA
from fer_core.evaluation.analysis_data import data_for
from fer_core.live.classifier import make_classifier
from fer_core.paths import Paths
from fer_core.store.model_files import find_model

ALLOWED = 1e-3


def main() -> None:
    """Prints the largest difference of a probability; exit code 1 where it is above 0.001."""
    options = parse_options()
    paths = Paths.from_environment()
    model = find_model(options.model, paths)
    test = data_for(model, str(options.data), paths).dataset.test
    images = test.images(slice(None))
    by_litert = make_classifier(model, paths).classify(images)
    by_keras = make_classifier(model, paths, runtime="keras").classify(images)
    difference = float(np.abs(by_litert - by_keras).max())
    same = int((by_litert.argmax(axis=1) == by_keras.argmax(axis=1)).sum())
    print(
        f"{model.name}, {test.name}: largest difference {difference:.1e}, the same label for {same:,} of {len(test):,}"
    )
    sys.exit(difference > ALLOWED)


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=TEST_DATA / "fer2013.zip")
    parser.add_argument("--model", default=None, help="a run id or a file; without it: the model in use")
    return parser.parse_args()


if __name__ == "__main__":
    main()
