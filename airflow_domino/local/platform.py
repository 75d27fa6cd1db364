"""The rules of the platform: what may be asked, what is refused, and what a request means. No HTTP in here."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from airflow_domino.local.bounds import QueueBound
from airflow_domino.local.clock import now_ms
from airflow_domino.local.code_repository import CodeRepositories
from airflow_domino.local.database import Database
from airflow_domino.local.disguises import Disguises
from airflow_domino.local.environments import Environment, Environments, EnvironmentSetting, Revision
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.faults import Faults
from airflow_domino.local.ids import is_object_id, new_object_id
from airflow_domino.local.ledger import Ledger
from airflow_domino.local.limits import Limits
from airflow_domino.local.logs import ReadableLog
from airflow_domino.local.memberships import Permission
from airflow_domino.local.people import People, caller
from airflow_domino.local.people_settings import PeopleSettings, settle_people
from airflow_domino.local.project_code import code_of
from airflow_domino.local.projects import Project, Projects
from airflow_domino.local.repository import ProjectRepository
from airflow_domino.local.requirements import Layers
from airflow_domino.local.rights import Rights
from airflow_domino.local.root import DATABASE, claim_root, kept_secret
from airflow_domino.local.run_faults import meet
from airflow_domino.local.runner import Runner
from airflow_domino.local.runs import Run, Runs
from airflow_domino.local.saved_results import DEFAULT_LIMITS, FileLimits
from airflow_domino.local.simulation import Simulation
from airflow_domino.local.simulator import simulator_of
from airflow_domino.local.starting import StartRequest, resolve
from airflow_domino.local.tiers import DEFAULT_TIERS, Tier, check_tiers
from airflow_domino.local.tiers_in_use import Capacity as Capacity
from airflow_domino.local.tiers_in_use import TiersInUse
from airflow_domino.local.tokens import Tokens

logger = logging.getLogger(__name__)

RESULTS_SETTINGS = ("main", "isolated")


@dataclass
class Platform:
    """One local Domino, without its web server.

    :param root: folder of everything that it keeps.
    :param token: the token of its first user; None makes one, which is kept in the folder.
    :param first_user: name of that user, who is the administrator.
    :param people_settings: the other users, and what they are to projects.
    :param tiers: the hardware tiers.
    :param environment_settings: the environments beside the default one, as the settings name them.
    :param python: interpreter of the default environment; None is the server's own.
    :param install_requirements: whether what a project's ``requirements.txt`` names is installed for its runs.
    :param git_credentials: file of logins for git servers, in the form of git's own credential store.
    :param file_limits: what the files of a project may be at most.
    :param stop_grace: seconds that a stopped program has between the polite signal and the other one.
    :param limits_are_enforced: whether runs are held to the cores and the memory of their tier.
    :param simulation: what becomes of runs that are only simulated; None executes runs.
    :param most_queued: how many runs may wait.
    """

    root: Path
    token: str | None = None
    first_user: str = "domino"
    people_settings: PeopleSettings = field(default_factory=PeopleSettings)
    tiers: Sequence[Tier] = DEFAULT_TIERS
    environment_settings: Sequence[EnvironmentSetting] = ()
    python: Path | None = None
    install_requirements: bool = False
    git_credentials: Path | None = None
    file_limits: FileLimits = DEFAULT_LIMITS
    stop_grace: float = 10.0
    limits_are_enforced: bool = True
    simulation: Simulation | None = None
    most_queued: int = 50_000
    _repositories: dict[str, ProjectRepository] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_tiers(self.tiers)
        self.root = self.root.absolute()
        self._lock_file = claim_root(self.root)
        self._repositories_lock = threading.Lock()
        self.database = Database(self.root / DATABASE)
        self.ledger = Ledger(self.database)
        self.projects = Projects(self.database)
        self.disguises = Disguises(self.database)
        self.faults = Faults(self.ledger)
        self.runs = Runs(self.database, self.ledger, self.disguises)
        self.queue_bound = QueueBound(self.most_queued, self.runs)
        folder = self.root / "repositories"
        self.code_repositories = CodeRepositories(self.database, folder, self.git_credentials)
        self.environments = Environments(self.database, self.environment_settings, self.python)
        self.tiers = self.tiers_in_use = TiersInUse(self.tiers, self.runs)
        self.secret = self.token or kept_secret(self.root / "token")
        self.page_secret = self.database.setting("page secret", lambda: secrets.token_urlsafe(32))
        self.runner = Runner(
            runs=self.runs,
            projects=self.projects,
            repository=self.files_of,
            tiers=self.tiers_in_use,
            environments=self.environments,
            root=self.root,
            stop_grace=self.stop_grace,
            limits=Limits(self.limits_are_enforced),
            simulator=simulator_of(self),
            code=lambda project: code_of(self.code_repositories, project),
            layers=Layers(self.root / "layers") if self.install_requirements else None,
        )
        self.people, self.tokens = People(self.database), Tokens(self.database)
        self.rights = Rights(self.people, self.tokens, self.projects, self.runs, self.runner.run_of_key)
        self.token_files = settle_people(self)

    def close(self) -> None:
        """End all runs and let go of the folder."""
        self.runner.close()
        self.database.close()
        self._lock_file.close()

    # People and projects

    @property
    def user(self) -> str:
        """Name of the user of the request that is being answered; of the first user when there is none."""
        sender = caller()
        return self.first_user if sender is None or sender.person is None else sender.person.name

    def add_project(self, full_name: str, folder: Path | None = None, results: str | None = None) -> Project:
        """Make a project, or bring an existing one up to date.

        :param full_name: ``owner/name``.
        :param folder: folder whose files the project gets; None leaves its files as they are.
        :param results: ``main`` or ``isolated``; None keeps the setting, which is ``main`` at first.
        """
        owner, _, name = full_name.partition("/")
        if not owner or not name or "/" in name:
            raise ValueError(f"a project is named owner/name, not {full_name!r}")
        if results is not None and results not in RESULTS_SETTINGS:
            raise ValueError(f"results must be one of {', '.join(RESULTS_SETTINGS)}, not {results!r}")
        known = self.projects.named(owner, name)
        project = known or Project(new_object_id(), owner, name, results or "main", now_ms())
        if known is None or (results is not None and results != known.results):
            project = replace(project, results=results or project.results)
            self.projects.save(project)
        self.people.ensure(owner)
        if folder is not None:
            for note in self.files_of(project.id).import_folder(folder, self.user):
                logger.warning("%s: %s", full_name, note)
        return project

    def project(self, project_id: str, permission: Permission = Permission.DISCOVER) -> Project:
        """Look a project up by its id.

        :param permission: what this user must be allowed to do with it.
        :raises BadRequest: when it is no id at all.
        :raises NotFound: when there is none that this user may know of.
        :raises Forbidden: when this user may know of it, but not do that.
        """
        _check_id("project", project_id)
        return self._allowed(self.projects.find(project_id), permission, f"with the id {project_id}")

    def project_named(self, owner: str, name: str, permission: Permission = Permission.DISCOVER) -> Project:
        """Look a project up by owner and name; see :meth:`project`."""
        return self._allowed(self.projects.named(owner, name), permission, f"{owner}/{name}")

    def _allowed(self, project: Project | None, permission: Permission, asked_for: str) -> Project:
        missing = f"There is no project {asked_for}"
        if project is None:
            raise NotFound(missing)
        self.rights.require(project, permission, missing)
        return project

    def repository(self, project_id: str) -> ProjectRepository:
        """Give the files of a project, which this user must be allowed to read."""
        if caller() is not None:
            self.project(project_id, Permission.READ_FILES)
        return self.files_of(project_id)

    def files_of(self, project_id: str) -> ProjectRepository:
        """Give the files of a project to the server itself, which also works while it answers somebody's request."""
        with self._repositories_lock:
            if project_id not in self._repositories:
                path = self.root / "projects" / f"{project_id}.git"
                self._repositories[project_id] = ProjectRepository(path, self.file_limits)
            return self._repositories[project_id]

    def forget_repositories(self, kept: Collection[str]) -> None:
        """Forget the files of all projects but these, whose ids are given."""
        with self._repositories_lock:
            self._repositories = {known: self._repositories[known] for known in kept if known in self._repositories}

    def commit_id(self, project: Project, commit_id: str) -> str:
        """Give the full id of a commit that a request names: its id, or ``head``.

        :raises NotFound: when the project has no such commit.
        """
        repository = self.repository(project.id)
        if commit_id == "head":
            return repository.head()
        if not repository.has_commit(commit_id):
            raise NotFound(f"Commit {commit_id} not found in project {project.full_name}")
        return commit_id

    # Tiers and environments

    @property
    def default_tier(self) -> Tier:
        """The tier of runs that name none."""
        return self.tiers_in_use.default

    @property
    def default_environment(self) -> Environment:
        """The environment of runs that name none."""
        return self.environments.default

    def tier(self, tier_id: str | None) -> Tier:
        """Give the tier of an id; see :meth:`~airflow_domino.local.tiers_in_use.TiersInUse.tier`."""
        return self.tiers_in_use.tier(tier_id)

    def tier_named(self, name: str | None) -> Tier:
        """Give the first tier of a name; see :meth:`~airflow_domino.local.tiers_in_use.TiersInUse.named`."""
        return self.tiers_in_use.named(name)

    def environment(self, environment_id: str | None) -> Environment:
        """Give the environment of an id.

        :param environment_id: the id; None for the default.
        :raises BadRequest: when it is no id, or no environment that can be used has it.
        """
        if environment_id is None:
            return self.default_environment
        _check_id("environment", environment_id)
        found = self.environments.find(environment_id)
        if found is None or not found.can_be_seen_by(self.user):
            raise BadRequest(f"Environment {environment_id} does not exist or cannot be used in this project")
        if found.is_archived:
            raise BadRequest(f"Environment {found.name} is archived: no new run can use it")
        return found

    def usable_environments(self) -> list[Environment]:
        """List the environments in which this user can start runs."""
        return [environment for environment in self.environments if environment.can_be_seen_by(self.user)]

    def seen_environment(self, environment_id: str) -> Environment:
        """Look an environment up by its id, archived or not.

        :raises NotFound: when there is none that this user may see.
        """
        found = self.environments.find(environment_id)
        if found is None or not found.can_be_seen_by(self.user):
            raise NotFound(f"There is no environment with the id {environment_id}")
        return found

    def tier_of(self, run: Run) -> Tier:
        """Give the tier of a run; see :meth:`~airflow_domino.local.tiers_in_use.TiersInUse.of`."""
        return self.tiers_in_use.of(run)

    def environment_of(self, run: Run) -> Environment:
        """Give the environment of a run; the default one where it was forgotten."""
        return self.environments.find(run.environment_id) or self.default_environment

    def revision_of(self, run: Run) -> Revision:
        """Give the exact revision of its environment that a run uses."""
        return self.environment_of(run).used_revision(run.environment_revision_id)

    def capacities(self) -> dict[str, Capacity]:
        """Tell how full the tiers are, by tier id."""
        return self.tiers_in_use.capacities()

    # Runs

    def run(self, run_id: str, permission: Permission = Permission.VIEW_RUNS) -> Run:
        """Look a run up by its id.

        :param permission: what this user must be allowed to do in its project.
        :raises BadRequest: when it is no id at all.
        :raises NotFound: when there is none that this user may know of.
        :raises Forbidden: when this user may know of it, but not do that.
        """
        _check_id("job", run_id)
        run = self.runs.find(run_id)
        disguise = self.disguises.of(run_id)
        missing = f"There is no job with the id {run_id}"
        if run is None or (disguise is not None and disguise.is_lost):
            raise NotFound(missing)
        self.rights.require_of_run(run, permission, missing)
        return self.disguises.shown(run)

    def log(self, run: Run) -> ReadableLog:
        """Give the log of a run as it is shown."""
        return self.disguises.log(run.id, self.runner.log(run.id))

    def start(self, project: Project, request: StartRequest) -> Run:
        """Accept a run; it executes as soon as its tier has room.

        :param project: project of the run.
        :param request: what is asked for.
        :raises BadRequest: when it names something that cannot be used, or has no command.
        :raises Forbidden: when this user may not start runs of the project.
        """
        self.rights.require(project, Permission.RUN, f"There is no project {project.full_name}")
        if not request.arguments:
            raise BadRequest("The command to run must not be empty")
        self.queue_bound.check()
        run = self.runs.add(resolve(self, project, request))
        for fault in self.faults.of_run(run):
            meet(self, run, fault)
        self.runner.look()
        return run

    def stop(self, run: Run, *, keep_results: bool) -> Run:
        """Wish a run stopped; it is when its status says so."""
        self.rights.require_of_run(run, Permission.RUN, f"There is no job with the id {run.id}")
        self.ledger.enter("stop", run, {"commitResults": keep_results, "status": run.status})
        return self.disguises.shown(self.runner.stop(run.id, keep_results=keep_results))

    def restart(self, run: Run, *, same_commit: bool) -> Run:
        """Start a run again as a new one.

        :param run: the old run.
        :param same_commit: from the commit that the old run started from, otherwise from the latest one.
        """
        request = StartRequest(
            command=run.command,
            arguments=run.arguments,
            title=run.title,
            tier_id=run.tier_id,
            environment_id=run.environment_id,
            environment_revision_spec=run.environment_revision_spec,
            commit_id=run.input_commit if same_commit else None,
            git_ref=run.started_code() if same_commit else run.git_ref,
            compute_cluster=run.compute_cluster,
            restarted_from=run.id,
            capacity_type=run.capacity_type,
        )
        return self.start(self.project(run.project_id), request)

    def queue_explanation(self, run: Run, places: Mapping[str, int] | None = None) -> str:
        """Say why a run waits; see :meth:`~airflow_domino.local.tiers_in_use.TiersInUse.queue_explanation`."""
        return self.tiers_in_use.queue_explanation(run, places)


def _check_id(kind: str, text: str) -> None:
    if not is_object_id(text):
        raise BadRequest(f"{text!r} is not a valid {kind} id: expected 24 hexadecimal digits")
