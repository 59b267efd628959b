"""The command line as a whole: every command explains itself, and speaks as it is asked to."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from trackssl.cli import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
REPOSITORY = Path(__file__).parents[1]


def examples(name: str) -> list[list[str]]:
    """The example lines of a command's help, as words after its name."""
    paragraphs = (COMMANDS[name].help or "").split("\n\n")
    found = []
    for paragraph in paragraphs:
        words = " ".join(paragraph.split())
        if f"xample: trackssl {name}" in words:
            found.append(shlex.split(words.split(f"trackssl {name}", 1)[1]))
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_its_options_accept(name: str) -> None:
    assert examples(name), f"the help of {name} has no line 'Example: trackssl {name} ...'"
    for words in examples(name):
        COMMANDS[name].make_context(name, list(words))  # raises for what it does not know


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_each_option_means(name: str) -> None:
    unexplained = [p.name for p in COMMANDS[name].params if not getattr(p, "help", "")]
    assert not unexplained


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_silent_and_can_speak_json(name: str) -> None:
    options = {word for option in COMMANDS[name].params for word in option.opts}
    assert {"--quiet", "--json"} <= options


def test_a_result_is_told_as_a_sentence_as_json_or_not_at_all(tmp_path: Path) -> None:
    command = ["start-run", "mine", "--out", str(tmp_path / "run.json")]
    run = CliRunner()
    assert "the run mine" in run.invoke(app, command).stdout
    told = json.loads(run.invoke(app, [*command, "--json"]).stdout)
    assert told == {"command": "start-run", "out": str(tmp_path / "run.json"), "name": "mine"}
    assert run.invoke(app, [*command, "--quiet"]).output == ""
    assert json.loads((tmp_path / "run.json").read_text())["name"] == "mine"


@pytest.mark.parametrize(
    "command",
    ["datasets", "config-schema", "plan --configfile config/paper.yaml"],
)
def test_what_is_drawn_for_a_person_has_a_form_for_programs(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    result = CliRunner().invoke(app, [*command.split(), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["command"] == command.split()[0] and len(told) > 1


def test_bad_input_is_one_sentence_on_stderr_and_exit_status_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trackssl.cli", "show-table", str(tmp_path / "no.csv"), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_the_shell_completes_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trackssl.cli", "--show-completion", "bash"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "complete" in done.stdout
