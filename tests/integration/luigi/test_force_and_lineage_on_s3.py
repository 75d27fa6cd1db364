"""Outputs on a real S3 API: moved aside when a task is made again, and told by their addresses."""

from __future__ import annotations

import boto3
import pytest
from moto.server import ThreadedMotoServer

from airflow_domino.luigi.execute import EngineProcess, EngineRequest, engine_environment

BUCKET = "reports"
PIPELINE = """
import luigi
from luigi.contrib.s3 import S3FlagTarget, S3Target

class Report(luigi.Task):
    name = luigi.Parameter(default="report.csv")
    def output(self):
        return S3Target(f"s3://reports/{self.name}")
    def run(self):
        with self.output().open("w") as file:
            file.write("new")

class Shards(luigi.Task):
    fails = luigi.BoolParameter()
    def output(self):
        return S3FlagTarget("s3://reports/shards/")
    def run(self):
        if self.fails:
            raise RuntimeError("told to fail")
        client = self.output().fs
        for name in ("0.csv", "_SUCCESS"):
            client.put_string("new", f"s3://reports/shards/{name}")
"""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore")


@pytest.fixture(scope="module")
def address():
    """An S3 server of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(address, monkeypatch):
    """An empty bucket, as a mapping of keys to contents."""
    variables = {
        "AWS_ENDPOINT_URL": address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a-key",
        "AWS_SECRET_ACCESS_KEY": "its-secret",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = boto3.resource("s3").create_bucket(Bucket=BUCKET)
    yield found
    found.objects.all().delete()
    found.delete()


def contents(bucket):
    """What is in the bucket, the time of a move left out of the names."""
    found = {}
    for one in bucket.objects.all():
        name, mark, rest = one.key.partition(".before-force-")
        _, slash, below = rest.partition("/")
        found[f"{name}{mark and ' (aside)'}{slash}{below}"] = one.get()["Body"].read().decode()
    return found


@pytest.fixture
def make_again(tmp_path):
    """Make a task again, in a process of its own."""
    (tmp_path / "on_s3.py").write_text(PIPELINE)

    def ask(family, **params):
        request = EngineRequest(
            action="run", task=f"on_s3:{family}", params=params, force=True, project_path=str(tmp_path)
        )
        return EngineProcess(request, working_dir=tmp_path, env=engine_environment()).run(print)

    return ask


def test_an_object_is_moved_aside_within_its_bucket(bucket, make_again):
    bucket.put_object(Key="report.csv", Body=b"old")
    answer = make_again("Report")
    assert answer.outcome == "done"
    assert contents(bucket) == {"report.csv": "new", "report.csv (aside)": "old"}
    assert [one["uris"] for one in answer.facts["made"]] == [["s3://reports/report.csv"]]


def test_a_folder_with_its_marker_is_moved_whole_and_comes_back_when_the_attempt_fails(bucket, make_again):
    for name in ("", "0.csv", "1.csv", "_SUCCESS"):
        bucket.put_object(Key=f"shards/{name}", Body=b"old" if name else b"")
    assert make_again("Shards", fails=True).outcome == "run_failed"
    old = {f"shards/{name}": "old" for name in ("0.csv", "1.csv", "_SUCCESS")}
    assert contents(bucket) == old
    assert make_again("Shards").outcome == "done"
    aside = {name.replace("shards", "shards (aside)"): content for name, content in old.items()}
    assert contents(bucket) == {"shards/0.csv": "new", "shards/_SUCCESS": "new"} | aside


def test_an_object_that_is_the_name_of_a_folder_too_is_not_touched(bucket, make_again):
    for key in ("both", "both/below"):
        bucket.put_object(Key=key, Body=b"old")
    answer = make_again("Report", name="both")
    assert answer.outcome == "force_impossible"
    assert "object and of a folder" in answer.message
    assert contents(bucket) == {"both": "old", "both/below": "old"}
