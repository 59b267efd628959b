"""Reference pages that are written from the code when the documentation is built.

`reference/commands.md`: the command line, from its own help. `reference/config.md`: every key of a
config, from the schema.
"""

import json
from pathlib import Path
from typing import Any

import typer

from trackssl.cli import app
from trackssl.config import Config


def commands_page() -> str:
    """A section a panel of `trackssl --help`, a part a command, a row an option."""
    group = typer.main.get_command(app)
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        panels.setdefault(command.rich_help_panel or "Others", []).append((name, command))
    lines = [
        "# Commands",
        "",
        "Written from `trackssl --help`. Every command also takes `--quiet` (nothing but warnings) "
        "and `--json` (the result as one JSON object). Exit status: 0 done, 1 an error of ours, 2 "
        "bad input, 130 interrupted.",
    ]
    for panel, commands in panels.items():
        lines += ["", f"## {panel}"]
        for name, command in commands:
            lines += ["", f"### {name}", "", *_help(command.help or ""), "", *_options(command)]
    return "\n".join(lines) + "\n"


def _help(text: str) -> list[str]:
    """Help as Markdown, its examples as code."""
    lines = []
    for paragraph in text.strip().split("\n\n"):
        words = " ".join(paragraph.split())
        head, found, example = words.partition("xample: trackssl ")
        if found:
            before = head[:-1].rstrip()
            lines += [before, "", "```text", f"trackssl {example}", "```", ""]
        else:
            lines += [words, ""]
    return lines


def _options(command: Any) -> list[str]:
    rows = ["| option | meaning |", "|---|---|"]
    for option in command.params:
        names = ", ".join(f"`{name}`" for name in option.opts)
        if option.param_type_name == "argument":
            names = f"`{option.name.upper()}`"
        if option.name in ("quiet", "as_json"):
            continue
        notes = " (required)" if option.required else ""
        default = option.default
        if default is not None and default is not False and not option.required:
            notes = f" (default: `{getattr(default, 'value', default)}`)"
        rows.append(f"| {names} | {_cell(option.help or '')}{notes} |")
    return rows if len(rows) > 2 else []


def config_page() -> str:
    """A section a part of the config, a row a key: its type, its default, what it means."""
    schema = Config.model_json_schema()
    lines = [
        "# Config",
        "",
        "One file is one run. What it does not say has the value below; an unknown key is an "
        "error. Written from `trackssl config-schema`.",
        "",
        "## The run",
        "",
        *_keys(schema, schema),
    ]
    for name in sorted(schema["$defs"]):
        part = schema["$defs"][name]
        if "properties" in part:
            lines += ["", f"## {name}", "", part.get("description", ""), "", *_keys(part, schema)]
    return "\n".join(lines) + "\n"


def _keys(part: dict, schema: dict) -> list[str]:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    required = set(part.get("required", ()))
    for key, value in part["properties"].items():
        default = "required" if key in required else _default(value.get("default"))
        meaning = _cell(value.get("description", ""))
        rows.append(f"| `{key}` | {_cell(_type(value))} | {default} | {meaning} |")
    return rows


def _type(value: dict) -> str:
    """A key's type in words, with a link to its section."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_type(one) for one in value["anyOf"])
    if "enum" in value:
        return " or ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"names to {_type(value['additionalProperties'])}"
    return value.get("type", "any")


def _default(value: Any) -> str:
    if isinstance(value, dict):
        return "as in its section" if value else "`{}`"
    text = json.dumps(value)
    return f"`{text}`" if len(text) < 40 else "a list"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def write(folder: Path) -> None:
    """Write both pages, unless they are there as they should be."""
    folder.mkdir(exist_ok=True)
    for name, text in (("commands.md", commands_page()), ("config.md", config_page())):
        page = folder / name
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
