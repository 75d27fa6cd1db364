"""How the pages are built: `make docs`."""

from __future__ import annotations

from airflow_domino import __version__

project = "airflow-domino"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "airflow-domino"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
myst_heading_anchors = 2
