"""One file: what becomes of it, and what a person is told."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import libcst as cst

from airflow_domino.migrate.facts import look_up
from airflow_domino.migrate.findings import Finding, Kind
from airflow_domino.migrate.imports import rewrite_imports
from airflow_domino.migrate.leftovers import gone_from_airflow, other_luigi, several_hosts, strays, unused
from airflow_domino.migrate.rewriting import DOMINO_RUN, Rewriter

HIDDEN = "***"


@dataclass(frozen=True)
class Migration:
    """A file before and after.

    :param findings: what is different now, and what has to be done by hand
    :param hosts: addresses of Domino that the file named: they belong into connections
    :param adds: name of the file that ``after`` is to be, where it does not take the place of the one before
    :param secrets: API keys that stood in the file; never shown
    """

    before: str
    after: str
    findings: tuple[Finding, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    uses_connection: bool = False
    adds: str | None = None

    @property
    def has_changed(self) -> bool:
        """Whether anything was converted."""
        return self.before != self.after

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be done by hand."""
        return all(finding.kind is not Kind.LEFT for finding in self.findings)

    def diff(self, name: str) -> Iterator[str]:
        """The lines of a unified diff; an API key that stood in the file is not shown.

        :param name: the file's
        """
        before, after = self.before.splitlines(), self.after.splitlines()
        old = name if self.adds is None else "/dev/null"
        for line in difflib.unified_diff(before, after, old, name, lineterm=""):
            yield self.hidden(line)

    def hidden(self, text: str) -> str:
        """Return a text without the file's API keys."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def migrate(source: str, *, conn_id: str | None = None) -> Migration:
    """Convert a DAG file.

    :param source: what is in it
    :param conn_id: connection of the converted tasks; by default ``domino_default``
    :raises libcst.ParserSyntaxError: it is not Python
    """
    module = cst.parse_module(source)
    facts = look_up(module)
    rewriter = Rewriter(facts, source, conn_id)
    changed = facts.wrapper.visit(rewriter)
    findings = [*rewriter.findings, *strays(facts), *other_luigi(facts)]
    if not rewriter.has_changed:
        return Migration(source, source, _sorted(findings), secrets=frozenset(rewriter.secrets))
    changed, gone = rewrite_imports(changed, rewriter.needed)
    findings += rewriter.asides
    findings += several_hosts(rewriter.hosts)
    findings += unused(module, changed, source)
    findings += gone_from_airflow(gone, source)
    return Migration(
        source,
        changed.code,
        _sorted(findings),
        tuple(rewriter.hosts),
        frozenset(rewriter.secrets),
        uses_connection=DOMINO_RUN in rewriter.needed,
    )


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(set(findings)))
