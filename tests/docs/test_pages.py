"""The documentation builds without a warning, and nothing in it points at what is not there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake_run import REPOSITORY

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(REPOSITORY / "docs").glob("*.md"),
    *(REPOSITORY / "docs/reference").glob("files.md"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "html"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
        + [str(REPOSITORY / "docs"), str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_the_pages_build_without_a_warning(site: Path) -> None:
    assert (site / "tutorial.html").is_file()


def test_the_reference_has_every_command_and_every_key(site: Path) -> None:
    import typer

    from trackssl.cli import app
    from trackssl.config import Config

    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f'id="{name}"' in commands, f"no section of {name}"
    config = (site / "reference/config.html").read_text(encoding="utf-8")
    for key in Config.model_fields:
        assert key in config


def test_no_page_of_the_site_asks_another_host_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        asked = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text()
        )
        assert not asked, f"{page.name}: {asked}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http", "#", "mailto:")):
            continue
        path = (page.parent / target.split("#")[0]).resolve()
        made = path.parent.name == "reference" and path.stem in ("config", "commands")
        assert path.exists() or made, f"{page.name} links to {target}, which is not there"
