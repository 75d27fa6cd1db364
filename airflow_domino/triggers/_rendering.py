"""Rendering a task's templates in the triggerer as a worker would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger as Trigger
else:
    Trigger = object


class RendersStrictly(Trigger):
    """Part of a trigger that the scheduler starts: what cannot be rendered is left to a worker, which says why.

    :ivar is_rendered: False when a template failed, such as one that uses a date which a manual run does not have.
    """

    is_rendered: bool = True

    def render_template_fields(self, context: Any, jinja_env: jinja2.Environment | None = None) -> None:
        """Render, taking nothing that is missing for empty text (Airflow's own triggers do)."""
        environment = jinja_env or self.get_template_env()
        environment.undefined = jinja2.StrictUndefined
        try:
            super().render_template_fields(context, environment)
        except Exception as error:
            self.log.info("A worker is asked, since a template cannot be rendered here: %s", error)
            self.is_rendered = False
