"""Sphinx's settings: pages in Markdown, notebooks as they are stored, the reference from docstrings."""

import shutil
from pathlib import Path

import bayesastro

HERE = Path(__file__).parent

project = "bayesastro"
author = copyright = "The bayesastro developers"
version = release = bayesastro.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "images"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"bayesastro {version}"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are stored with their outputs, and run by the slow tests

shutil.rmtree(HERE / "reference", ignore_errors=True)  # no page of a name that is gone
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

# Notebooks belong to a folder of their own; Sphinx reads only what is below its own.
shutil.copytree(
    HERE.parent / "notebooks", HERE / "gallery", dirs_exist_ok=True, ignore=shutil.ignore_patterns(".ipynb_checkpoints")
)
