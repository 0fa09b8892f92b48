"""Puts the models that come with the project into its wheel; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithModels(build_py):
    """A checkout has them in models/shipped, a wheel in fer_core/shipped."""

    def run(self):
        """Builds as ever, and copies the models."""
        super().run()
        shutil.copytree("models/shipped", Path(self.build_lib, "fer_core", "shipped"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithModels})
