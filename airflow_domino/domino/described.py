"""What a deployment says of its own API: its OpenAPI documents, asked whether they have what we use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow_domino.domino.lenient import items, mapping
from airflow_domino.domino.used import Field, Operation

_JSON = re.compile(r"json", re.IGNORECASE)
_MOST_STEPS = 50


@dataclass(frozen=True)
class Found:
    """What a document says of an operation.

    :param is_there: whether the operation is in it.
    :param lacks_query: names of parameters that are used and not in it.
    :param lacks_sent: fields that are sent and not in it.
    :param lacks_read: fields that are read and not in it.
    """

    is_there: bool
    lacks_query: tuple[str, ...] = ()
    lacks_sent: tuple[Field, ...] = ()
    lacks_read: tuple[Field, ...] = ()


@dataclass(frozen=True)
class Document:
    """One OpenAPI document.

    :param content: as it was published.
    :raises ValueError: when it describes no operations.
    """

    content: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        if not mapping(self.content.get("paths")):
            raise ValueError("it is no OpenAPI document: it has no paths")

    @property
    def version(self) -> str | None:
        """The version that it gives itself; Domino does not always keep it up to date."""
        version = mapping(self.content.get("info")).get("version")
        return None if version is None else str(version)

    def find(self, operation: Operation) -> Found:
        """Look one operation up, and each of the fields that are used of it."""
        described = self._operation(operation)
        if described is None:
            return Found(False)
        named = {str(self._plain(parameter).get("name")) for parameter in items(described.get("parameters"))}
        body = self._schema(self._plain(described.get("requestBody")))
        responses = mapping(described.get("responses"))
        good = next((responses[status] for status in sorted(responses) if str(status).startswith("2")), None)
        answer = self._schema(self._plain(good))
        return Found(
            True,
            tuple(name for name in operation.query if name not in named),
            tuple(one for one in operation.sent if not self._has(body, one.path.split("."))),
            tuple(one for one in operation.read if not self._has(answer, one.path.split("."))),
        )

    def _operation(self, operation: Operation) -> Mapping[str, Any] | None:
        wanted = _without_names(operation.path)
        prefixes = {urlsplit(str(server.get("url", ""))).path.rstrip("/") for server in items(self._servers())}
        for path, methods in self.content["paths"].items():
            if any(_without_names(f"{prefix}{path}") == wanted for prefix in prefixes or {""}):
                found = mapping(methods).get(operation.method.lower())
                if found is not None:
                    return mapping(found)
        return None

    def _servers(self) -> list[Any]:
        servers = self.content.get("servers")
        return servers if isinstance(servers, list) and servers else [{"url": ""}]

    def _schema(self, holder: Mapping[str, Any]) -> Mapping[str, Any]:
        content = mapping(holder.get("content"))
        chosen = next((value for kind, value in content.items() if _JSON.search(kind)), None)
        return mapping(mapping(chosen).get("schema"))

    def _plain(self, holder: Any) -> Mapping[str, Any]:
        """Follow references within the document."""
        for _ in range(_MOST_STEPS):
            reference = mapping(holder).get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#/"):
                break
            holder = self.content
            for part in reference[2:].split("/"):
                holder = mapping(holder).get(part.replace("~1", "/").replace("~0", "~"))
        return mapping(holder)

    def _has(self, schema: Mapping[str, Any], names: list[str], steps: int = 0) -> bool:
        """Tell whether a value of this shape can have a field; what leaves its fields open counts as having it."""
        shapes = list(self._shapes(schema, steps))
        described = [shape for shape in shapes if "properties" in shape]
        if not names or not described:
            return bool(shapes) and (not names or all(self._is_open(shape) for shape in shapes))
        below = [mapping(shape["properties"])[names[0]] for shape in described if names[0] in shape["properties"]]
        return any(self._has(mapping(one), names[1:], steps + 1) for one in below)

    @staticmethod
    def _is_open(shape: Mapping[str, Any]) -> bool:
        return bool(shape.get("type", "object") == "object")

    def _shapes(self, schema: Mapping[str, Any], steps: int) -> Iterator[Mapping[str, Any]]:
        """Give the shapes that a value can have or has in parts, those of the entries for a list."""
        plain = self._plain(schema)
        if steps > _MOST_STEPS:
            return
        parts = [part for key in ("allOf", "oneOf", "anyOf") for part in items(plain.get(key))]
        if "items" in plain:
            parts.append(mapping(plain["items"]))
        if "properties" in plain or not parts:
            yield plain
        for part in parts:
            yield from self._shapes(part, steps + 1)


def _without_names(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)
