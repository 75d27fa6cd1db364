"""How the pages are built: `make docs`."""

from __future__ import annotations

from typing import Any

from airflow_domino import __version__

project = "airflow-domino"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
toc_object_entries_show_parents = "hide"
myst_heading_anchors = 3
html_theme = "furo"
html_title = "airflow-domino"
html_favicon = "../airflow_domino/plugin/static/icon-light.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#5b4a9c", "color-brand-content": "#5b4a9c"},
    "dark_css_variables": {"color-brand-primary": "#b3a5ec", "color-brand-content": "#b3a5ec"},
}


def tell_template_fields(app: Any, what: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Add to the description of an operator in which of its arguments templates may stand."""
    fields = getattr(documented, "template_fields", ()) if what == "class" else ()
    if fields and isinstance(fields, tuple | list):
        lines += ["", f"Templates may stand in {', '.join(f'``{field}``' for field in fields)}.", ""]


def setup(app: Any) -> None:
    """Have Sphinx call what is above."""
    app.connect("autodoc-process-docstring", tell_template_fields)
