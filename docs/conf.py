"""Sphinx's settings: `make docs` builds the pages into docs/_build/html."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference_pages  # noqa: E402

from trackssl import __version__  # noqa: E402

project = "trackssl"
author = "the trackssl developers"
project_copyright = "the trackssl developers, MIT licence"
release = __version__
extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
smartquotes = False  # "--option" in a sentence stays as it is typed
html_title = "trackssl"
html_static_path: list[str] = []
copybutton_prompt_text = "$ "
# Pages link to files of the repository too (config/paper.yaml, src/...), which are no pages.
suppress_warnings = ["myst.xref_missing"]

reference_pages.write(HERE / "reference")
