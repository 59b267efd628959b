"""The project's files in a folder of their own, so that a test may edit and run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake_run import REPOSITORY, TINY

_FILES = ("src", "workflow", "profiles", "envs", "config", "paper", "results/README.md")
_MORE = ("Snakefile", "config.yaml", "dvc.yaml", "Makefile", "pyproject.toml", "README.md")


class CopiedProject:
    """A copy whose own modules are the ones that are imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (*_FILES, *_MORE):
            source, target = REPOSITORY / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, symlinks=True, ignore=ignored)
            else:
                shutil.copy(source, target)

    @property
    def config(self) -> dict:
        """config.yaml of the copy."""
        return yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))

    @config.setter
    def config(self, values: dict) -> None:
        text = yaml.safe_dump(values, sort_keys=False)
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")

    def make_tiny(self) -> None:
        """Its config becomes one of the smallest run that still does everything."""
        values = self.config
        for section, tiny in TINY.items():
            values[section] = {**values[section], **tiny} if isinstance(tiny, dict) else tiny
        self.config = values

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command in the copy -> what it prints; an assertion says what went wrong."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=self.folder, input=text, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(self.folder / "src")},
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout
