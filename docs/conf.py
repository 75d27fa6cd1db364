"""How the pages are built: `make docs`."""

from __future__ import annotations

from airflow_domino import __version__

project = "airflow-domino"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
myst_heading_anchors = 3
html_theme = "furo"
html_title = "airflow-domino"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#5b4a9c", "color-brand-content": "#5b4a9c"},
    "dark_css_variables": {"color-brand-primary": "#b3a5ec", "color-brand-content": "#b3a5ec"},
}
