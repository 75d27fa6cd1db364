"""The graph of Luigi tasks as it is kept in an XCom: small, bounded, and plain JSON while it is short.

Imports neither Luigi nor Airflow. Who reads a record did not write it: nothing in it is trusted.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

VERSION = 1
#: The most bytes that a record takes.
MOST_BYTES = 300_000
_PLAIN_BYTES = 4_000
_MOST_UNPACKED_BYTES = 30_000_000
# Given up one after the other where a record would be too large; of tasks that went well first.
_DISPENSABLE = (("params", "message"), ("targets",), ("url", "seconds"))
_GOOD = frozenset({"complete", "done", "not_needed"})


def pack(graph: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """Write a graph down.

    :param graph: :meth:`airflow_domino.luigi.engine.picture.Picture.facts`
    :param asked: what the engine was asked: ``run``, ``survey`` or ``check``
    :returns: ``version``, ``asked``, ``counts`` by state, and the ``graph``, as it is or compressed (``packed``)
    """
    counts = Counter(str(task.get("state")) for task in graph["tasks"])
    record = {"version": VERSION, "asked": asked, "counts": dict(counts)}
    text = json.dumps(graph, separators=(",", ":"))
    if len(text) <= _PLAIN_BYTES:
        return {**record, "graph": dict(graph)}
    packed = _compressed(text)
    for smaller in _smaller(graph):
        if len(packed) <= MOST_BYTES:
            break
        packed = _compressed(json.dumps(smaller, separators=(",", ":")))
    return {**record, "packed": packed}


def unpack(record: Any) -> dict[str, Any] | None:
    """Read what :func:`pack` wrote; None for anything else."""
    if not isinstance(record, Mapping) or record.get("version") != VERSION:
        return None
    graph = record.get("graph")
    if isinstance(record.get("packed"), str):
        graph = _expanded(record["packed"])
    if not isinstance(graph, dict) or not isinstance(graph.get("tasks"), list):
        return None
    return graph


def _compressed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


@lru_cache(maxsize=4)
def _expanded(packed: str) -> Any:
    # A page that stays open asks for the same again and again; what is answered is only read.
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(base64.b64decode(packed, validate=True), _MOST_UNPACKED_BYTES)
        return json.loads(data) if unpacking.eof else None
    except (ValueError, binascii.Error, zlib.error, RecursionError):
        return None


def _smaller(graph: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same graph with less and less told of its tasks, and at last with fewer tasks."""
    tasks: Sequence[Mapping[str, Any]] = graph["tasks"]
    gone: set[str] = set()
    for names in _DISPENSABLE:
        gone |= set(names)
        for spared in (_GOOD, None):  # first of those that went well, then of all
            kept = [_without(task, gone if spared is None or task.get("state") in spared else ()) for task in tasks]
            yield {**graph, "tasks": kept, "folders": {}}
    count = len(tasks)
    while count > 1:
        count = count * 2 // 3
        yield _first(graph, kept, count)


def _without(task: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name not in names}


def _first(graph: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    """The first tasks only: those that were asked for come first."""
    kept = [{**task, "requires": [one for one in task.get("requires", ()) if one < count]} for task in tasks[:count]]
    more = int(graph.get("more") or 0) + len(graph["tasks"]) - count
    return {**graph, "tasks": kept, "folders": {}, "more": more}
