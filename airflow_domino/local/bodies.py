"""Bodies of requests, as the documents of the API describe them; unknown fields are ignored, as Domino ignores them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

OBJECT_ID = r"^[0-9a-f]{24}$"
# Numbers of the API have 32 bits.
LARGEST_NUMBER = 2**31 - 1


class Body(BaseModel):
    """The body of a request to Domino's API."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class Order(BaseModel):
    """The body of a request to the control plane, where an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid")


class GitRef(Body):
    """``{type, value}``: which code of a git-based project."""

    type: str
    value: str | None = None


class TierId(Body):
    """A tier id in the wrapping that clusters have."""

    value: str


class Revision(Body):
    """A revision of an environment by its id."""

    revision_id: str


RevisionSpec = Literal["ActiveRevision", "LatestRevision", "RestrictedRevision"] | Revision | None


class Storage(Body):
    """A size with its unit."""

    value: float = Field(gt=0)
    unit: Literal["MB", "MiB", "GB", "GiB"]


class Cluster(Body):
    """A compute cluster beside the job."""

    cluster_type: Literal["Spark", "Ray", "Dask", "MPI"]
    compute_environment_id: str = Field(pattern=OBJECT_ID)
    compute_environment_revision_spec: RevisionSpec = None
    master_hardware_tier_id: TierId | None = None
    worker_count: int = Field(ge=1, le=LARGEST_NUMBER)
    max_worker_count: int | None = Field(None, ge=1, le=LARGEST_NUMBER)
    worker_hardware_tier_id: TierId
    worker_storage: Storage | None = None
    extra_configs: dict[str, str] | None = None


class StartJob(Body):
    """Body of ``POST /v4/jobs/start``."""

    project_id: str = Field(pattern=OBJECT_ID)
    command_to_run: str
    title: str | None = None
    commit_id: str | None = None
    main_repo_git_ref: GitRef | None = None
    override_hardware_tier_id: str | None = None
    environment_id: str | None = Field(None, pattern=OBJECT_ID)
    environment_revision_spec: RevisionSpec = None
    compute_cluster_properties: Cluster | None = None
    external_volume_mounts: list[str] | None = None
    capacity_type: str | None = None


class StopJob(Body):
    """Body of ``POST /v4/jobs/stop``."""

    job_id: str = Field(pattern=OBJECT_ID)
    commit_results: bool


class RestartJob(Body):
    """Body of ``POST /v4/jobs/restart``."""

    job_id: str = Field(pattern=OBJECT_ID)
    should_use_original_input_commit: bool


class OneJob(Body):
    """Body of ``POST /v4/jobs/archive``."""

    job_id: str = Field(pattern=OBJECT_ID)


def plain(model: BaseModel | str | None) -> Any:
    """Give a part of a body as plain JSON without its unset fields."""
    return model.model_dump(by_alias=True, exclude_none=True) if isinstance(model, BaseModel) else model
