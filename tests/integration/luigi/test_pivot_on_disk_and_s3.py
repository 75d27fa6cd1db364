"""The sample pipeline `pivot` whole: on disk and on a real S3 API, ended in the middle, and as Domino runs."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest, engine_environment

PROJECT = Path(__file__).parents[3] / "dags" / "projects" / "pivot"
BUCKET = "sales"
SALES = {"rows": 700, "shard_kib": 7}
SHARDS = 3
FAMILIES = {"SalesTable": 1, "SumShard": SHARDS, "MergeSums": SHARDS - 1, "PivotTable": 1}
PATIENCE = 60.0

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore")


class Disk:
    """Files of a pipeline on disk."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self.environment: dict[str, str] = {}

    def stamps(self) -> dict[str, Any]:
        """All whole files, each with what changes when it is written again."""
        files = [path for path in Path(self.address).rglob("*") if path.suffix in (".csv", ".json")]
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}

    def read(self, name: str) -> str:
        (path,) = Path(self.address).rglob(name)
        return path.read_text()


class S3:
    """Files of a pipeline on S3, in a bucket that keeps each version of them."""

    def __init__(self, environment: dict[str, str], prefix: str) -> None:
        self.address = f"s3://{BUCKET}/{prefix}"
        self.environment = environment
        self._prefix = prefix
        self._client = boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def stamps(self) -> dict[str, Any]:
        found = self._client.list_object_versions(Bucket=BUCKET, Prefix=f"{self._prefix}/").get("Versions", [])
        stamps = {Path(version["Key"]).name: version["VersionId"] for version in found}
        assert len(stamps) == len(found), "something was written twice"
        return stamps

    def read(self, name: str) -> str:
        (key,) = [
            found["Key"] for found in self._client.list_objects_v2(Bucket=BUCKET)["Contents"] if self._is(found, name)
        ]
        return str(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())

    def _is(self, found: dict[str, Any], name: str) -> bool:
        return str(found["Key"]).startswith(f"{self._prefix}/") and Path(found["Key"]).name == name


@pytest.fixture(scope="module")
def s3_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which programs find an S3 server of this machine, with one bucket."""
    log = tmp_path_factory.mktemp("s3") / "server.log"
    with log.open("w") as said:
        server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p0"], stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (running := re.search(r"Running on (http://\S+)", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        environment = {
            "AWS_ENDPOINT_URL": running[1],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "its-secret",
        }
        client = boto3.client("s3", endpoint_url=running[1], region_name="us-east-1", **_credentials(environment))
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield environment
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _credentials(environment: dict[str, str]) -> dict[str, str]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {name.lower(): environment[name] for name in names}


@pytest.fixture(params=["disk", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Disk | S3:
    """Where the pipeline keeps its files."""
    if request.param == "disk":
        return Disk(tmp_path / "pivot")
    return S3(request.getfixturevalue("s3_api"), tmp_path.name)


def make(storage: Disk | S3, folder: Path, *, env: dict[str, str] | None = None, **params: Any) -> EngineAnswer:
    """Make the table as LuigiTaskOperator does."""
    request = EngineRequest(
        action="run",
        task="pivot_pipeline:PivotTable",
        params={**SALES, "storage": storage.address, **params},
        workers=4,
        project_path=str(PROJECT),
    )
    lines: list[str] = []
    environment = engine_environment({**storage.environment, **(env or {})})
    answer = EngineProcess(request, working_dir=folder, env=environment).run(lines.append)
    said = "\n".join([*lines, answer.message])
    assert answer.is_good, said
    assert "its-secret" not in said
    return answer


def families(answer: EngineAnswer) -> Counter[str]:
    return Counter(task_id.split("_")[0] for task_id in answer.facts["ran"])


def expected_table(sales: str) -> dict[tuple[str, str], int]:
    sums: Counter[tuple[str, str]] = Counter()
    for sale in csv.DictReader(io.StringIO(sales)):
        sums[sale["region"], sale["product"]] += int(sale["cents"])
    return dict(sums)


def made_table(pivot: str) -> dict[tuple[str, str], int]:
    rows = list(csv.DictReader(io.StringIO(pivot)))
    return {(row["region"], name): int(cents) for row in rows for name, cents in row.items() if name != "region"}


def test_the_table_is_right_and_each_part_of_it_is_made_once(tmp_path: Path) -> None:
    storage = Disk(tmp_path / "pivot")
    assert families(make(storage, tmp_path)) == FAMILIES
    assert made_table(storage.read("pivot.csv")) == expected_table(storage.read("sales.csv"))
    before = storage.stamps()
    assert len(before) == sum(FAMILIES.values())
    again = make(storage, tmp_path)
    assert (again.facts["already_complete"], storage.stamps()) == (True, before)


def test_what_is_there_when_the_pipeline_is_killed_is_not_made_again(storage: Disk | S3, tmp_path: Path) -> None:
    kill_in_the_middle(storage, tmp_path)
    before = storage.stamps()
    assert 1 < len(before) < sum(FAMILIES.values())
    answer = make(storage, tmp_path)
    after = storage.stamps()
    assert {name: stamp for name, stamp in after.items() if name in before} == before
    assert len(answer.facts["ran"]) == len(after) - len(before)
    assert len(after) == sum(FAMILIES.values())
    assert made_table(storage.read("pivot.csv")) == expected_table(storage.read("sales.csv"))


def kill_in_the_middle(storage: Disk | S3, folder: Path) -> None:
    """Start the pipeline, and end all its processes at once as soon as some shards are summed."""
    words = [f"--param={name}={value}" for name, value in {**SALES, "storage": storage.address}.items()]
    with (folder / "log").open("w") as log:
        command = subprocess.Popen(
            [
                *(sys.executable, "-m", "airflow_domino.cli", "luigi", "run", "pivot_pipeline:PivotTable"),
                *(f"--project-path={PROJECT}", "--workers=2", *words),
            ],
            cwd=folder,
            env=os.environ | storage.environment,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + PATIENCE
    while not any(name.startswith("sum-") for name in storage.stamps()):
        assert command.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.01)
    (engine,) = psutil.Process(command.pid).children()
    group = [engine, *engine.children(recursive=True)]
    os.killpg(engine.pid, signal.SIGKILL)
    assert command.wait(PATIENCE) == 1
    assert "SIGKILL" in (folder / "log").read_text()
    _, alive = psutil.wait_procs(group, timeout=PATIENCE)
    assert not alive


def test_jobs_are_domino_runs_on_the_tiers_and_in_the_environment_that_are_asked_for(
    s3_api: dict[str, str], start_local_domino: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    # As a Domino project's environment variables would: what a run may know of the storage.
    (home / ".aws" / "config").write_text(
        f"[default]\nendpoint_url = {s3_api['AWS_ENDPOINT_URL']}\nregion = us-east-1\n"
        "aws_access_key_id = a-key\naws_secret_access_key = its-secret\n"
    )
    domino = start_local_domino(
        projects={"domino/pivot": PROJECT},
        arguments=[f"--environment=Newer={sys.executable}"],
        environment={"HOME": str(home)},
    )
    storage = S3(s3_api, tmp_path.name)
    environment = {
        "DOMINO_API_HOST": domino.url,
        "DOMINO_USER_API_KEY": domino.token,
        "DOMINO_PROJECT_OWNER": "domino",
        "DOMINO_PROJECT_NAME": "pivot",
    }
    choices = {"run_on": "domino", "environment": "Newer", "tiers": {"SumShard": "Medium", "MergeSums": "Large"}}
    answer = make(storage, tmp_path, env=environment, **{**choices, "shard_kib": 10})
    assert families(answer)["DominoRunTask"] == 3
    assert made_table(storage.read("pivot.csv")) == expected_table(storage.read("sales.csv"))
    jobs = domino.get("/v4/jobs", projectId=domino.project_id, page_size=50, status="all")["jobs"]
    found = Counter()
    for job in jobs:
        tier = domino.get(f"/v4/jobs/{job['id']}/runtimeExecutionDetails")["hardwareTier"]["name"]
        said = domino.log(job["id"], "prepareoutput")
        found[job["jobRunCommand"].split()[1], tier, any("environment Newer" in line for line in said)] += 1
    assert found == {("count", "Medium", True): 2, ("merge", "Large", True): 1}
