"""Where the boxes of a graph are drawn: in layers from left to right, what is required before what requires it.

The usual steps for layered drawings (Sugiyama, Tagawa, Toda: Methods for Visual Understanding of Hierarchical System
Structures, 1981): break circles, give each box a layer, lead long edges through the layers between, order each layer by
its neighbours' places, and then move boxes towards their neighbours. Each step is linear in boxes and edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

WIDTH = 208
HEIGHT = 46
GAP_ACROSS = 64
GAP_BETWEEN = 16
MARGIN = 16
_BEND_HEIGHT = 10
_MOST_BENDS = 2_000
_SWEEPS = 6

Edge = tuple[str, str]


@dataclass(frozen=True)
class Line:
    """An edge, as a path of SVG.

    :param is_back: it closes a circle, so that it runs against the others
    """

    source: str
    target: str
    path: str
    is_back: bool = False


@dataclass(frozen=True)
class Layout:
    """A drawing: the upper left corner of each box, and the lines between them."""

    width: int
    height: int
    places: Mapping[str, tuple[int, int]]
    lines: tuple[Line, ...]


@dataclass(eq=False)
class _Spot:
    """A box, or a bend of a long edge, in its layer."""

    key: str
    layer: int
    height: int
    before: list[_Spot] = field(default_factory=list)
    after: list[_Spot] = field(default_factory=list)
    place: float = 0.0
    y: float = 0.0


def lay_out(keys: Sequence[str], edges: Iterable[Edge]) -> Layout:
    """Find a place for each box.

    :param keys: of the boxes, in an order that stays the same
    :param edges: from what is required to what requires it; one from a box to itself is left out
    """
    known = set(keys)
    wanted = [edge for edge in dict.fromkeys(edges) if edge[0] != edge[1] and known.issuperset(edge)]
    forward, back = _without_circles(keys, wanted)
    layers = _layers(keys, forward)
    spots = {key: _Spot(key, layers[key], HEIGHT) for key in keys}
    bends = {edge: _connect(spots, edge) for edge in forward} if _is_drawable(layers, forward) else {}
    if not bends:
        for source, target in forward:
            _link(spots[source], spots[target])
    columns = _columns([*spots.values(), *(bend for chain in bends.values() for bend in chain)])
    _order(columns)
    _settle(columns)
    lowest = min((spot.y for column in columns for spot in column), default=0)
    for column in columns:
        for spot in column:
            spot.y += MARGIN - lowest
    lines = [Line(*edge, _path([spots[edge[0]], *bends.get(edge, ()), spots[edge[1]]])) for edge in forward]
    lines += [Line(*edge, _path_back(spots[edge[0]], spots[edge[1]]), is_back=True) for edge in back]
    height = max((spot.y + spot.height for column in columns for spot in column), default=0) + MARGIN
    width = 2 * MARGIN + len(columns) * (WIDTH + GAP_ACROSS) - GAP_ACROSS
    places = {key: (_x(spot), round(spot.y)) for key, spot in spots.items()}
    return Layout(max(width, 0), round(height), places, tuple(lines))


def _without_circles(keys: Sequence[str], edges: Sequence[Edge]) -> tuple[list[Edge], list[Edge]]:
    """Part the edges into those that lead on, and those that close a circle."""
    below: dict[str, list[str]] = {}
    for source, target in edges:
        below.setdefault(source, []).append(target)
    back: set[Edge] = set()
    done: set[str] = set()
    for start in keys:
        path, stack = {start}, [(start, iter(below.get(start, ())))]
        while stack and start not in done:
            key, following = stack[-1]
            one = next((one for one in following if one not in done), None)
            if one is None:
                stack.pop()
                path.discard(key)
                done.add(key)
            elif one in path:
                back.add((key, one))
            else:
                path.add(one)
                stack.append((one, iter(below.get(one, ()))))
    return [edge for edge in edges if edge not in back], [edge for edge in edges if edge in back]


def _layers(keys: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest way that leads to each box; what nothing leads to is right before what it leads to."""
    below: dict[str, list[str]] = {}
    waits: dict[str, int] = dict.fromkeys(keys, 0)
    for source, target in edges:
        below.setdefault(source, []).append(target)
        waits[target] += 1
    found = dict.fromkeys(keys, 0)
    ready = [key for key in keys if not waits[key]]
    first = list(ready)
    for key in ready:  # grows while it is walked
        for target in below.get(key, ()):
            found[target] = max(found[target], found[key] + 1)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    for key in first:
        if key in below:
            found[key] = min(found[target] for target in below[key]) - 1
    return found


def _is_drawable(layers: Mapping[str, int], edges: Iterable[Edge]) -> bool:
    return sum(layers[target] - layers[source] - 1 for source, target in edges) <= _MOST_BENDS


def _connect(spots: Mapping[str, _Spot], edge: Edge) -> list[_Spot]:
    """Lead an edge through the layers between its ends."""
    source, target = spots[edge[0]], spots[edge[1]]
    bends = [_Spot("", layer, _BEND_HEIGHT) for layer in range(source.layer + 1, target.layer)]
    chain = [source, *bends, target]
    for one, next_one in pairwise(chain):
        _link(one, next_one)
    return bends


def _link(source: _Spot, target: _Spot) -> None:
    source.after.append(target)
    target.before.append(source)


def _columns(spots: Sequence[_Spot]) -> list[list[_Spot]]:
    columns: list[list[_Spot]] = [[] for _ in range(max((spot.layer for spot in spots), default=-1) + 1)]
    for spot in spots:
        columns[spot.layer].append(spot)
    return columns


def _order(columns: Sequence[list[_Spot]]) -> None:
    """Put each layer into the order of its neighbours' places, to and fro, so that fewer lines cross."""
    for column in columns:
        _number(column)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            for spot in column:
                near = spot.before if sweep % 2 == 0 else spot.after
                if near:
                    spot.place = sum(one.place for one in near) / len(near)
            column.sort(key=lambda spot: spot.place)
            _number(column)


def _number(column: Sequence[_Spot]) -> None:
    for number, spot in enumerate(column):
        spot.place = (number + 0.5) / len(column)


def _settle(columns: Sequence[Sequence[_Spot]]) -> None:
    """Stack each layer, then move its boxes towards the middle of their neighbours as far as there is room."""
    for column in columns:
        height = sum(spot.height + GAP_BETWEEN for spot in column)
        y = -height / 2
        for spot in column:
            spot.y, y = y, y + spot.height + GAP_BETWEEN
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wished = [_middle(spot, spot.before if sweep % 2 == 0 else spot.after) for spot in column]
            _pull(column, wished)


def _middle(spot: _Spot, near: Sequence[_Spot]) -> float:
    if not near:
        return spot.y
    centres = sorted(one.y + one.height / 2 for one in near)
    half = len(centres) // 2
    middle = centres[half] if len(centres) % 2 else (centres[half - 1] + centres[half]) / 2
    return middle - spot.height / 2


def _pull(column: Sequence[_Spot], wished: Sequence[float]) -> None:
    """Give each box its wish, the order kept and no two in one place: those that collide share the mean of theirs."""
    blocks: list[tuple[float, int, list[_Spot]]] = []  # the sum of wishes for the first box, how many, the boxes
    for spot, wish in zip(column, wished, strict=True):
        total, count, members = wish, 1, [spot]
        while blocks and _start(blocks[-1]) + _extent(blocks[-1][2]) > total / count:
            above_total, above_count, above = blocks.pop()
            total = above_total + total - count * _extent(above)
            count, members = above_count + count, above + members
        blocks.append((total, count, members))
    for block in blocks:
        y = _start(block)
        for spot in block[2]:
            spot.y, y = y, y + spot.height + GAP_BETWEEN


def _start(block: tuple[float, int, list[_Spot]]) -> float:
    return block[0] / block[1]


def _extent(members: Iterable[_Spot]) -> float:
    return sum(spot.height + GAP_BETWEEN for spot in members)


def _x(spot: _Spot) -> int:
    return MARGIN + spot.layer * (WIDTH + GAP_ACROSS)


def _path(chain: Sequence[_Spot]) -> str:
    """A line from the right of a box to the left of another, straight through the bends between."""
    parts = [f"M{_x(chain[0]) + WIDTH} {_middle_of(chain[0])}"]
    for one, following in pairwise(chain):
        x, y = _x(following), _middle_of(following)
        turn = x - GAP_ACROSS // 2
        parts.append(f"C{turn} {_middle_of(one)} {turn} {y} {x} {y}")
        if following is not chain[-1]:
            parts.append(f"H{x + WIDTH}")
    return "".join(parts)


def _path_back(source: _Spot, target: _Spot) -> str:
    """A line that runs back below the boxes."""
    start, end = _x(source) + WIDTH, _x(target)
    low = round(max(source.y, target.y) + HEIGHT + GAP_BETWEEN / 2)
    out = f"M{start} {_middle_of(source)}C{start + 40} {_middle_of(source)} {start + 40} {low} {start} {low}"
    return f"{out}H{end}C{end - 40} {low} {end - 40} {_middle_of(target)} {end} {_middle_of(target)}"


def _middle_of(spot: _Spot) -> int:
    return round(spot.y + spot.height / 2)
