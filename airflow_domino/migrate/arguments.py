"""The arguments of a call, or the items of a dict, as named values whose comments and line breaks are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import libcst as cst
import libcst.matchers as m

Whitespace = cst.BaseParenthesizableWhitespace
_SPACE = cst.SimpleWhitespace(" ")


@dataclass(frozen=True)
class Argument:
    """A value that was given by name.

    :param node: the ``Arg`` or ``DictElement`` that it stands in; one that is new has none
    """

    name: str
    value: cst.BaseExpression
    node: cst.Arg | cst.DictElement | None = None


class Arguments:
    """All that one call or one dict gives by name.

    :param node: a call such as ``f(name=value)`` or ``dict(name=value)``, or a dict such as ``{"name": value}``
    """

    def __init__(self, node: cst.Call | cst.Dict) -> None:
        self.node = node
        self._items: Sequence[Any] = node.args if isinstance(node, cst.Call) else node.elements

    def named(self) -> list[Argument]:
        """What is given by name, in order."""
        return [Argument(name, item.value, item) for item in self._items if (name := _name(item)) is not None]

    def unnamed(self) -> list[Any]:
        """What is given otherwise: by position, or from another mapping."""
        return [item for item in self._items if _name(item) is None]

    @property
    def quote(self) -> str:
        """The quotes that are used here, of the first text."""
        for item in self._items:
            for part in (getattr(item, "key", None), item.value):
                for string in m.findall(part, m.SimpleString()) if part is not None else ():
                    return cst.ensure_type(string, cst.SimpleString).quote[0]
        return '"'

    def replaced(self, changes: Mapping[int, Sequence[Argument]]) -> Any:
        """Make the same call or dict with other values.

        :param changes: by the id of an argument's node what stands in its place: nothing, or one or more
        """
        before = _Before(self.node)
        items: list[Any] = []
        separator = self._separator()
        for original in self._items:
            instead = changes.get(id(original))
            is_last = original is self._items[-1]
            item = before.with_end(original) if is_last and instead == [] else original
            if instead is None:
                items.append(item)
            elif not instead:
                _keep_remarks(items, before, item, is_last=is_last)
            else:
                items += [self._renamed(item, one, separator) for one in instead[:-1]]
                items.append(self._renamed(item, instead[-1], None))
        return before.put(items)

    def _renamed(self, item: Any, argument: Argument, separator: cst.Comma | None) -> Any:
        comma = {} if separator is None else {"comma": separator}
        if isinstance(item, cst.DictElement):
            key = cst.ensure_type(item.key, cst.SimpleString)
            return item.with_changes(
                key=key.with_changes(value=f"{key.quote}{argument.name}{key.quote}"), value=argument.value, **comma
            )
        return item.with_changes(keyword=cst.Name(argument.name), value=argument.value, **comma)

    def _separator(self) -> cst.Comma:
        """A comma with what stands after it between two arguments here, without comments."""
        spaces = [item.comma.whitespace_after for item in self._items[:-1] if isinstance(item.comma, cst.Comma)]
        broken = next((space for space in spaces if isinstance(space, cst.ParenthesizedWhitespace)), None)
        if broken is None and isinstance(self.node, cst.Call):
            opening = self.node.whitespace_before_args
            broken = opening if isinstance(opening, cst.ParenthesizedWhitespace) else None
        if broken is None:
            return cst.Comma(whitespace_after=_SPACE)
        return cst.Comma(whitespace_after=broken.with_changes(first_line=cst.TrailingWhitespace(), empty_lines=[]))

    def exploded(self, indent: str, step: str) -> Any:
        """Make the same call with each argument on a line of its own.

        :param indent: of the line that the call stands in
        :param step: one level of indentation
        """
        between = _line_break(indent + step)
        items = [item.with_changes(comma=cst.Comma(whitespace_after=between)) for item in self._items]
        items[-1] = items[-1].with_changes(
            comma=cst.Comma(whitespace_after=_line_break(indent)), whitespace_after_arg=cst.SimpleWhitespace("")
        )
        return cast(cst.Call, self.node).with_changes(args=items, whitespace_before_args=between)


def with_names(arguments: Sequence[Argument]) -> dict[str, Argument]:
    """Arguments by their names."""
    return {argument.name: argument for argument in arguments}


def _name(item: Any) -> str | None:
    if isinstance(item, cst.Arg):
        return item.keyword.value if item.keyword is not None else None
    if isinstance(item, cst.DictElement) and isinstance(item.key, cst.SimpleString):
        name = item.key.evaluated_value
        return name if isinstance(name, str) else None
    return None


def _line_break(indent: str) -> cst.ParenthesizedWhitespace:
    return cst.ParenthesizedWhitespace(indent=False, last_line=cst.SimpleWhitespace(indent))


class _Before:
    """What stands before the first item, and how items are put back."""

    def __init__(self, node: cst.Call | cst.Dict) -> None:
        self._node = node
        self.space: Whitespace = (
            node.whitespace_before_args if isinstance(node, cst.Call) else node.lbrace.whitespace_after
        )
        self.end: Whitespace = cst.SimpleWhitespace("") if isinstance(node, cst.Call) else node.rbrace.whitespace_before

    def with_end(self, last: Any) -> Any:
        """Return the last item with all that stands before the closing brace of a dict."""
        if not isinstance(self._node, cst.Dict) or isinstance(_after(last), cst.ParenthesizedWhitespace):
            return last
        if not isinstance(self._node.rbrace.whitespace_before, cst.ParenthesizedWhitespace):
            return last
        self.end = cst.SimpleWhitespace("")
        return last.with_changes(comma=cst.Comma(whitespace_after=self._node.rbrace.whitespace_before))

    def put(self, items: Sequence[Any]) -> Any:
        if isinstance(self._node, cst.Call):
            return self._node.with_changes(args=items, whitespace_before_args=self.space)
        opening = self._node.lbrace.with_changes(whitespace_after=self.space)
        closing = self._node.rbrace.with_changes(whitespace_before=self.end)
        return self._node.with_changes(elements=items, lbrace=opening, rbrace=closing)


def _keep_remarks(items: list[Any], before: _Before, gone: Any, *, is_last: bool) -> None:
    """Leave an item out; comments in lines of their own after it, which speak of the next one, are kept."""
    after = _after(gone)
    if not items:
        before.space = _joined(before.space, after, is_last=is_last)
        return
    last = items[-1]
    if is_last:
        # It was the last one: what is now the last one ends as it did.
        own = _after(last)
        items[-1] = _with_after(last, _joined(own, after, is_last=True), gone)
    else:
        items[-1] = _with_after(last, _joined(_after(last), after, is_last=False), last)


def _after(item: Any) -> Whitespace:
    if isinstance(item.comma, cst.Comma):
        return item.comma.whitespace_after
    return cast(Whitespace, getattr(item, "whitespace_after_arg", cst.SimpleWhitespace("")))


def _with_after(item: Any, space: Whitespace, like: Any) -> Any:
    if isinstance(like.comma, cst.Comma):
        return item.with_changes(comma=cst.Comma(whitespace_after=space))
    changes: dict[str, Any] = {"comma": cst.MaybeSentinel.DEFAULT}
    if isinstance(item, cst.Arg):
        changes["whitespace_after_arg"] = space
    return item.with_changes(**changes)


def _joined(space: Whitespace, gone: Whitespace, *, is_last: bool) -> Whitespace:
    if not isinstance(gone, cst.ParenthesizedWhitespace):
        return gone if is_last and not isinstance(space, cst.ParenthesizedWhitespace) else space
    remarks = [line for line in gone.empty_lines if line.comment is not None]
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return (
            gone.with_changes(first_line=cst.TrailingWhitespace(), empty_lines=remarks)
            if remarks
            else (gone if is_last else space)
        )
    ending = gone if is_last else space
    return space.with_changes(
        empty_lines=[*space.empty_lines, *remarks], indent=ending.indent, last_line=ending.last_line
    )
