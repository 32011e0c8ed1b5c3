"""How Sphinx builds the documentation: ``make docs``."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

from voxloom import __version__
from voxloom.view import write_queue_page

project = "voxloom"
author = "The voxloom developers"
copyright = "The voxloom developers"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "design/README.md", "benchmarks-measured.md"]
default_role = "code"  # docstrings put names in single backticks
html_theme = "furo"
html_title = f"voxloom {__version__}"
html_extra_path = ["_build/extra"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
autodoc_default_options = {"members": True, "undoc-members": False}
napoleon_google_docstring = False
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # "path" in a docstring is a word, not a name to look up


def write_pages(app: Sphinx) -> None:
    """Write what is made and not written by hand: the queue page."""
    extra = Path(app.srcdir) / "_build" / "extra"
    shutil.rmtree(extra, ignore_errors=True)
    extra.mkdir(parents=True)
    write_queue_page(extra / "queue.html")


def setup(app: Sphinx) -> None:
    """Make the queue page before Sphinx looks for it."""
    app.connect("config-inited", lambda app, config: write_pages(app))
