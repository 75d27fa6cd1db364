"""Text in Python source as a shell sees it, with templates and expressions as single characters; and back again."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

import libcst as cst

from airflow_domino.migrate.airflow_two import renamed_in_templates
from airflow_domino.migrate.luigi_line import UnreadableLineError

#: The day for which a DAG run is: by its logical date; where it has none, by when it was to begin.
DAY = "(dag_run.logical_date or dag_run.run_after) | ds"
#: The day on which a DAG run is due whose logical date is the start of an interval.
DAY_AFTER_INTERVAL = "(dag_run.data_interval_end or dag_run.run_after) | ds"
_FIRST_HOLE = 0xE000
_JINJA = re.compile(r"\{\{.*?\}\}", re.DOTALL)
# `date +%F` and its like: of today, of yesterday or of some days ago.
DATE = re.compile(
    r"""(?P<open>\$\(|`)\s*date\b
    (?:\s+(?:-d\s*|--date[=\s]\s*)(?P<q>["']?)
       (?:(?P<yesterday>yesterday)|-?(?P<days>\d+)\ ?days?(?:\ ago)?|today|now)(?P=q))?
    \s+(?P<q2>["']?)\+(?P<form>%F|%Y-%m-%d|%Y%m%d)(?P=q2)\s*(?:\)|`)""",
    re.VERBOSE,
)
_HOLE = re.compile("[\ue000-\uf8ff]")


class Text:
    """Reads strings, f-strings and sums of them, and writes pieces of what they hold.

    :param constants: values of names that are assigned a text once in the file
    :param quote: what texts are written in
    :param day: what a template has for the day that the shell asks the clock for
    """

    def __init__(
        self, constants: Mapping[str, cst.BaseExpression] | None = None, quote: str = '"', day: str = DAY
    ) -> None:
        self.quote = quote
        self._day = day
        self.has_dates = False
        self._constants = constants or {}
        self._holes: list[str | cst.BaseExpression] = []

    def read(self, node: cst.BaseExpression) -> str | None:
        """Return the text of an expression; None where it is no text that stands in the file."""
        text = self._read(node)
        if text is None:
            return None
        if "{%" in text:
            raise UnreadableLineError("a template with {% … %} decides what it runs")
        text = renamed_in_templates(text)  # a constant is read as it was
        return DATE.sub(self._date, _JINJA.sub(lambda found: self.hole(found[0]), text))

    def _date(self, found: re.Match[str]) -> str:
        """A day that the shell asks the clock for, as the day of the DAG run."""
        day = self._day
        if found["days"] or found["yesterday"]:
            day = f"macros.ds_add({day}, -{found['days'] or 1})"
        form = found["form"].replace("%Y-%m-%d", "%F")
        self.has_dates = True
        return self.hole(f"{{{{ {day} }}}}" if form == "%F" else f"{{{{ ({day}).replace('-', '') }}}}")

    def _read(self, node: cst.BaseExpression) -> str | None:
        if isinstance(node, cst.SimpleString):
            value = node.evaluated_value
            return value if isinstance(value, str) else None
        if isinstance(node, cst.ConcatenatedString):
            return self._sum(node.left, node.right)
        if isinstance(node, cst.FormattedString):
            return "".join(self._part(node, part) for part in node.parts)
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
            return self._sum(node.left, node.right)
        if isinstance(node, cst.Name) and node.value in self._constants:
            return self._read(self._constants[node.value])
        return None

    def _sum(self, left: cst.BaseExpression, right: cst.BaseExpression) -> str | None:
        pieces = [self._read(side) for side in (left, right)]
        if pieces == [None, None]:
            return None
        sides = zip(pieces, (left, right), strict=True)
        return "".join(self.hole(side) if piece is None else piece for piece, side in sides)

    def _part(self, string: cst.FormattedString, part: cst.BaseFormattedStringContent) -> str:
        if isinstance(part, cst.FormattedStringText):
            source = part.value.replace("{{", "{").replace("}}", "}")
            prefix = string.prefix.lower().replace("f", "")
            return str(ast.literal_eval(f"{prefix}{string.quote}{source}{string.quote}"))
        if isinstance(part, cst.FormattedStringExpression) and part.conversion is None and part.format_spec is None:
            return self.hole(part.expression)
        return self.hole(cst.FormattedString(parts=[part], start=string.start, end=string.end))

    def hole(self, content: str | cst.BaseExpression) -> str:
        """Return the character that stands for something a shell does not see."""
        self._holes.append(content)
        return chr(_FIRST_HOLE + len(self._holes) - 1)

    def write(self, text: str) -> cst.BaseExpression:
        """Return the expression of a piece of text."""
        pieces = self._pieces(text)
        if len(pieces) == 1 and not isinstance(pieces[0], str):
            return pieces[0]
        if all(isinstance(piece, str) for piece in pieces):
            return literal("".join(str(piece) for piece in pieces), self.quote)
        return _f_string(pieces)

    def plain(self, text: str) -> str:
        """Return a piece of text for people."""
        code = cst.Module([]).code_for_node
        return "".join(piece if isinstance(piece, str) else f"{{{code(piece)}}}" for piece in self._pieces(text))

    def _pieces(self, text: str) -> list[str | cst.BaseExpression]:
        pieces: list[str | cst.BaseExpression] = []
        for character in re.split("([\ue000-\uf8ff])", text):
            if not _HOLE.fullmatch(character):
                pieces.append(character)
                continue
            content = self._holes[ord(character) - _FIRST_HOLE]
            pieces += self._pieces(content) if isinstance(content, str) else [content]
        return _merged(pieces)


def literal(text: str, quote: str = '"') -> cst.BaseExpression:
    """Write a text in the quotes that are wished, where that needs no escapes."""
    written = repr(text)
    if quote not in text and "\\" not in written:
        written = f"{quote}{written[1:-1]}{quote}"
    return cst.SimpleString(written)


def _merged(pieces: list[str | cst.BaseExpression]) -> list[str | cst.BaseExpression]:
    merged: list[str | cst.BaseExpression] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    return merged or [""]


def _f_string(pieces: list[str | cst.BaseExpression]) -> cst.BaseExpression:
    code = cst.Module([]).code_for_node
    inside = "".join(code(piece) for piece in pieces if not isinstance(piece, str))
    quote = "'" if '"' in inside else '"'
    written = []
    for piece in pieces:
        if isinstance(piece, str):
            escaped = repr(piece)[1:-1].replace("{", "{{").replace("}", "}}")
            written.append(escaped.replace(quote, f"\\{quote}") if f"\\{quote}" not in escaped else escaped)
        else:
            written.append(f"{{{code(piece)}}}")
    return cst.parse_expression(f"f{quote}{''.join(written)}{quote}")
