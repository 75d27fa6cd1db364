"""Asking Luigi's engine with the files of a Domino project in mind, and bringing here what a worker's task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_domino.hooks.domino import DominoHook
from airflow_domino.operators._luigi_arguments import parse_force, project_files
from airflow_domino.operators._luigi_engine import AsksLuigi
from airflow_domino.operators._luigi_known_files import KnownFiles, Origin, argument_of, makers, origins_of
from airflow_domino.operators._luigi_project import ProjectCommit

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project
    from airflow_domino.luigi.execute import EngineAnswer


class KnowsItsFiles(AsksLuigi):
    """The part of an operator that finds what its Luigi task rests on, wherever upstream tasks were made."""

    force: Any

    def ask_with_known_files(
        self, context: Context, client: DominoClient, project: Project, answer: EngineAnswer, **asked: Any
    ) -> tuple[EngineAnswer, KnownFiles]:
        """Ask complete() again, with the project's latest files, and with what upstream runs left beside the main line.

        :param answer: what was answered without them
        :param asked: what the engine was asked
        :returns: the new answer, and the files with which it was asked
        """
        here = self.working_folder()
        origins: dict[str, Origin] = {}
        if not all(one["complete"] for one in answer.facts.get("inputs", ())):
            origins = origins_of(makers(self), context, project.full_name, here)  # costs a request for each task above
        known = KnownFiles(ProjectCommit.latest(client, project, here), origins)
        if known.names:
            answer = self.ask_engine("check", **asked, project_files=known.names)
        return answer, known

    def bring_needed_files(self, context: Context) -> None:
        """Bring here what a task on this worker reads of Domino runs above it, unless it is here.

        Workers need not share a disk: the results of a run were perhaps brought to another one.
        """
        above = makers(self)
        if not above:
            return
        asked: dict[str, Any] = {"inputs": True, "force": True}  # of a task that is complete in the project, too
        answer = self.ask_engine("check", **asked)
        is_done = answer.is_complete and not parse_force(self.force)
        if is_done or all(one["complete"] for one in answer.facts.get("inputs", ())):
            return
        nearest = above[0]
        project = nearest.render_template(argument_of(nearest, "project"), context)
        connection = nearest.render_template(argument_of(nearest, "domino_conn_id"), context)
        hook = DominoHook(connection or DominoHook.default_conn_name)
        try:
            client = hook.client
            found = client.project(hook.project_name(project or None))
            answer, known = self.ask_with_known_files(context, client, found, answer, **asked)
            local = [one for one in answer.facts.get("inputs", ()) if one["complete"] and not one["invisible"]]
            for name, destination in project_files(local, self.working_folder()).items():
                if not destination.exists() and (origin := known.bring(name, destination)):
                    self.log.info("Brought %s, which the task reads, here from %s", name, origin)
        finally:
            hook.close()
