"""Inspects a model file in a process of its own: HDF5 itself can hang or crash on a file that was tampered with.

python -m fer_core.store.inspection_child PATH
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from fer_core.errors import ArtifactError
from fer_core.resources import limit_memory, memory_bytes
from fer_core.store.inspection import check_is_file, inspect_model
from fer_core.store.model_metadata import ModelMetadata

LONGEST_SECONDS = 30.0
"""The largest file that is allowed is read in a few seconds."""

_PROJECT = Path(__file__).parents[2]
_REFUSED = 2


def inspect_apart(path: Path, *, longest_seconds: float = LONGEST_SECONDS) -> ModelMetadata:
    """Returns and raises what `inspect_model` does; ArtifactError also where reading hangs or crashes. Takes 0.3 s."""
    check_is_file(path)
    command = [sys.executable, "-P", "-m", "fer_core.store.inspection_child", str(path)]
    folders = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    try:
        child = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": folders},
            capture_output=True,
            text=True,
            timeout=longest_seconds,
        )
    except subprocess.TimeoutExpired:
        raise _damaged(path, f"reading it took longer than {longest_seconds:g} s") from None
    if child.returncode not in (0, _REFUSED):
        raise _damaged(path, f"reading it crashed (exit code {child.returncode})")
    answer = json.loads(child.stdout.splitlines()[-1])
    if child.returncode == _REFUSED:
        raise ArtifactError(answer["problem"], hint=answer["hint"])
    return ModelMetadata(tuple(answer["input_shape"]), answer["outputs"], answer["has_scaling"])


def _damaged(path: Path, finding: str) -> ArtifactError:
    return ArtifactError(
        f"{path} cannot be read as a Keras model: {finding}.", hint="It is damaged; get it once more from its maker."
    )


def _main(path: Path) -> int:
    try:
        print(json.dumps(inspect_model(path)._asdict()))
    except ArtifactError as error:
        print(json.dumps({"problem": str(error), "hint": error.hint}))
        return _REFUSED
    return 0


if __name__ == "__main__":
    limit_memory(memory_bytes() // 2)
    sys.exit(_main(Path(sys.argv[1])))
