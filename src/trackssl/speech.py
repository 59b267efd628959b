"""What a command says: sentences for a person, JSON for a program (--json), or nothing (--quiet).

Results go to stdout, by `tell`; how far the work is goes to stderr, through `progress_console` or
`progress_line`. Warnings and errors are never silenced.
"""

import dataclasses
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

_PANEL = "Output"
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing but warnings.", rich_help_panel=_PANEL),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=_PANEL),
]


@dataclasses.dataclass
class _Manner:
    """How the command that runs is to speak."""

    command: str = ""
    quiet: bool = False
    json: bool = False


_manner = _Manner()


class Commands(typer.Typer):
    """A Typer whose every command takes --quiet and --json."""

    def command(self, name: str | None = None, **options: Any) -> Callable:  # noqa: D102
        def add(function: Callable) -> Callable:
            said = name or function.__name__.replace("_", "-")
            typer.Typer.command(self, said, **options)(_with_options(function, said))
            return function

        return add


def _with_options(function: Callable, name: str) -> Callable:
    """The function with the two options more, which set how it speaks while it runs."""
    signature = inspect.signature(function, eval_str=True)
    more = {"quiet": Quiet, "as_json": AsJson}
    added = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for key, kind in more.items()
    ]

    @functools.wraps(function)
    def command(*given: Any, quiet: bool = False, as_json: bool = False, **named: Any) -> Any:
        with _speaking(_Manner(name, quiet or as_json, as_json)):
            return function(*given, **named)

    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *added]
    )
    command.__annotations__ = {**inspect.get_annotations(function, eval_str=True), **more}
    return command


@contextmanager
def _speaking(manner: _Manner) -> Iterator[None]:
    global _manner
    before, _manner = _manner, manner
    try:
        yield
    finally:
        _manner = before


def tell(said: Any, **result: Any) -> None:
    """Tell a result: `said`, a string or anything that rich prints, or with --json the `result`."""
    if _manner.json:
        typer.echo(json.dumps({"command": _manner.command, **result}, default=_plain))
    elif not _manner.quiet:
        if isinstance(said, str):
            typer.echo(said)
        else:
            from rich.console import Console

            console = Console()
            if not console.is_terminal:  # a pipe or a log has no width to keep to
                console = Console(width=160)
            console.print(said)


def is_quiet() -> bool:
    """Whether nothing is to be said of how far the work is."""
    return _manner.quiet


def progress_console() -> Any:
    """The rich console of progress bars: stderr, silent with --quiet."""
    from rich.console import Console

    return Console(stderr=True, quiet=_manner.quiet)


def progress_line(line: str) -> None:
    """How far the work is, for the log."""
    if not _manner.quiet:
        print(line, file=sys.stderr, flush=True)


def _plain(value: Any) -> Any:
    """JSON's form of what it does not know: paths, enums, dataclasses, tables, NumPy's numbers."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "to_dict"):  # a table of pandas
        return json.loads(value.to_json(orient="records"))
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Iterable):
        return list(value)
    return str(value)
