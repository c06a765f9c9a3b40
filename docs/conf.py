"""The site of genpredict: ``make docs`` builds it into build/docs, warnings are errors."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from reference_pages import write_reference  # noqa: E402  beside this file
from tutorial_pages import write_tutorials  # noqa: E402

import genpredict  # noqa: E402

project = "genpredict"
author = "The genpredict authors"
copyright = author
release = version = genpredict.__version__

extensions = [
    "myst_nb",  # pages in Markdown, notebooks with their outputs
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas without a request to another host
    "docstrings",  # beside this file
    "numpydoc",
    "cyclopts.ext.sphinx",  # the command line, from its own help
]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "off"  # they come with their outputs, see tutorial_pages

default_role = "code"  # names in docstrings stand in single backticks
templates_path = ["_templates"]
autosummary_generate = True
autodoc_mock_imports = ["lightning", "transformers"]  # of genpredict.integrations
autodoc_typehints = "none"  # numpydoc's sections name the types, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = f"genpredict {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sphinx = False

write_reference(DOCS / "reference")
write_tutorials(DOCS.parent / "notebooks", DOCS / "tutorials")
