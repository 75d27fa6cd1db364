"""Files of settings, in the languages that people write such files in."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from airflow_domino.local.texts import problem


def read_document(path: Path) -> Any:
    """Read a JSON, TOML or YAML file; its suffix says which.

    :param path: the file.
    :raises OSError: when it cannot be read.
    :raises ValueError: when it is not in its language, or holds what no answer could.
    """
    document = _parsed(path, path.read_text(encoding="utf-8"))
    if (reason := problem(document)) is not None:
        raise ValueError(reason)
    return document


def _parsed(path: Path, text: str) -> Any:
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix in (".yaml", ".yml"):
        import yaml  # type: ignore[import-untyped, unused-ignore]

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    raise ValueError("the suffix must be .json, .toml, .yaml or .yml")
