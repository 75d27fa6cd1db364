"""Files that go in before a run and come back after it."""

from __future__ import annotations

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_domino.compat import AirflowFailException
from airflow_domino.operators.domino import DominoRunOperator

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture(autouse=True)
def object_storage():
    """Let `memory://` URLs stand for object storage."""
    attach(protocol="memory", fs=MemoryFileSystem())


@pytest.fixture
def run(fake_domino, task_context):
    """Execute an operator whose run writes some files."""

    def execute(wrote=None, **arguments):
        fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded", wrote=wrote)
        operator = DominoRunOperator(task_id="t", command="main.py", deferrable=False, poll_interval=0.1, **arguments)
        return operator.execute(task_context())

    return execute


def test_a_listed_output_keeps_its_name_below_the_output_folder(run, tmp_path):
    result = run({"models/forest.zip": b"trees"}, outputs=["models/forest.zip"], output_dir=str(tmp_path))
    assert (tmp_path / "models/forest.zip").read_bytes() == b"trees"
    assert result["outputs"] == {"models/forest.zip": str(tmp_path / "models/forest.zip")}


def test_outputs_come_from_the_runs_own_commit_and_not_from_head(run, fake_domino, tmp_path):
    real_commit = fake_domino.commit

    def overtaken(tree):
        own = real_commit(tree)
        real_commit(tree | {"a.txt": b"somebody else's"})
        return own

    fake_domino.commit = overtaken
    run({"a.txt": b"own"}, outputs=["a.txt"], output_dir=str(tmp_path))
    assert (tmp_path / "a.txt").read_bytes() == b"own"


def test_the_configured_folder_is_where_relative_paths_begin(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DOMINO__OUTPUT_DIR", str(tmp_path))
    run({"a.txt": b"a"}, outputs=["a.txt"])
    assert (tmp_path / "a.txt").read_bytes() == b"a"


def test_an_output_can_go_to_a_place_of_its_own(run, tmp_path):
    places = {"a.txt": str(tmp_path / "x.txt"), "b.txt": tmp_path / "y.txt", "c.txt": "z.txt"}
    run({"a.txt": b"a", "b.txt": b"b", "c.txt": b"c"}, outputs=places, output_dir=str(tmp_path / "below"))
    found = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"x.txt": b"a", "y.txt": b"b", "below/z.txt": b"c"}


def test_an_output_can_go_to_object_storage(run):
    place = ObjectStoragePath("memory://bucket/models/a.txt")
    result = run({"a.txt": b"a", "b.txt": b"b"}, outputs={"a.txt": place, "b.txt": "memory://bucket/b.txt"})
    assert place.open("rb").read() == b"a"
    assert ObjectStoragePath("memory://bucket/b.txt").open("rb").read() == b"b"
    assert result["outputs"]["a.txt"] == str(place)


def test_the_output_folder_can_be_object_storage(run):
    run({"deep/a.txt": b"a"}, outputs=["deep/a.txt"], output_dir="memory://results/today")
    assert ObjectStoragePath("memory://results/today/deep/a.txt").open("rb").read() == b"a"


def test_a_missing_output_fails_the_task_and_names_what_the_run_wrote(run, tmp_path):
    with pytest.raises(AirflowFailException) as failure:
        run({"models/tree.zip": b"t"}, outputs=["models/forest.zip"], output_dir=str(tmp_path))
    text = str(failure.value)
    assert "no file 'models/forest.zip'" in text
    assert "it wrote: models/tree.zip" in text
    assert list(tmp_path.rglob("*.zip")) == []


def test_a_missing_output_of_a_run_that_wrote_nothing_says_so(run, tmp_path):
    with pytest.raises(AirflowFailException, match="it wrote no files"):
        run(None, outputs=["models/forest.zip"], output_dir=str(tmp_path))


def test_an_output_for_storage_that_this_airflow_cannot_reach_is_refused_before_the_launch(run, fake_domino):
    with pytest.raises(AirflowFailException, match="install the Airflow provider for it"):
        run(outputs={"a.txt": "s3://bucket/a.txt"})
    assert fake_domino.starts == []


@pytest.mark.parametrize(
    "outputs",
    [
        ["../secret"],
        ["a/../../secret"],
        ["/../secret"],
        ["folder/"],
        [""],
        {"a.txt": "../secret"},
        {"a.txt": ""},
        {"a.txt": 7},
        "a.txt",
    ],
    ids=str,
)
def test_an_output_that_would_leave_its_folder_or_has_no_name_is_refused_before_the_launch(
    run, fake_domino, tmp_path, outputs
):
    with pytest.raises(AirflowFailException):
        run({"a.txt": b"a"}, outputs=outputs, output_dir=str(tmp_path / "inside"))
    assert fake_domino.starts == []


def test_a_symbolic_link_does_not_lead_out_of_the_output_folder(run, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside" / "models").symlink_to(tmp_path / "outside")
    with pytest.raises(AirflowFailException):
        run({"models/a": b"a"}, outputs=["models/a"], output_dir=str(tmp_path / "inside"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_relative_output_folder_is_refused(run, fake_domino):
    with pytest.raises(AirflowFailException, match="absolute path"):
        run(outputs=["a.txt"], output_dir="results")
    assert fake_domino.starts == []


def test_inputs_are_staged_into_the_one_commit_that_the_run_begins_with(run, fake_domino, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1,2\n")
    ObjectStoragePath("memory://bucket/b.csv").write_bytes(b"3,4\n")
    upstream = fake_domino.commit({"main.py": b"print(1)\n", "out/c.csv": b"5,6\n"})
    fake_domino.commit({"main.py": b"print(1)\n"})
    result = run(
        inputs={
            "data/a.csv": str(tmp_path / "a.csv"),
            "data/b.csv": "memory://bucket/b.csv",
            "data/c.csv": {"commit_id": upstream, "path": "out/c.csv"},
        }
    )
    tree = fake_domino.trees[result["input_commit"]]
    assert {name: content for name, content in tree.items() if name.startswith("data/")} == {
        "data/a.csv": b"1,2\n",
        "data/b.csv": b"3,4\n",
        "data/c.csv": b"5,6\n",
    }


def test_the_results_of_upstream_tasks_are_staged_by_their_outputs_names(run, fake_domino):
    forest = run({"models/forest.zip": b"trees"})
    net = run({"models/net.zip": b"layers"}, commit_id="a" * 40)
    fake_domino.commit({"main.py": b"print(1)\n"})
    result = run(inputs={"models/forest.zip": forest, "models/net.zip": net})
    assert fake_domino.trees[result["input_commit"]] == {
        "main.py": b"print(1)\n",
        "models/forest.zip": b"trees",
        "models/net.zip": b"layers",
    }


def test_listed_inputs_have_the_same_name_below_the_output_folder(run, fake_domino, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2\n")
    result = run(inputs=["data/a.csv"], output_dir=str(tmp_path))
    assert fake_domino.trees[result["input_commit"]]["data/a.csv"] == b"1,2\n"


@pytest.fixture
def overwrite(fake_domino, monkeypatch):
    """Let somebody else write `a.csv` right after us, with as many bytes, the next so many times."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    real_commit = fake_domino.commit

    def arrange(times):
        left = iter(range(times))

        def overwritten(tree):
            own = real_commit(tree)
            if next(left, None) is not None:
                real_commit(tree | {"a.csv": b"9,9\n"})
            return own

        fake_domino.commit = overwritten

    return arrange


def test_inputs_that_somebody_else_keeps_overwriting_are_noticed(run, fake_domino, tmp_path, overwrite):
    (tmp_path / "a.csv").write_bytes(b"1,2\n")
    overwrite(1000)
    with pytest.raises(AirflowFailException, match="somebody else writes the same files"):
        run(inputs={"a.csv": str(tmp_path / "a.csv")})
    assert fake_domino.starts == []


def test_inputs_that_somebody_else_overwrites_once_are_staged_again(run, fake_domino, tmp_path, overwrite):
    (tmp_path / "a.csv").write_bytes(b"1,2\n")
    overwrite(1)
    result = run(inputs={"a.csv": str(tmp_path / "a.csv")})
    assert fake_domino.trees[result["input_commit"]]["a.csv"] == b"1,2\n"


def test_a_task_with_a_wrong_tier_stages_nothing(run, fake_domino, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1,2\n")
    with pytest.raises(AirflowFailException, match="Huge"):
        run(inputs={"a.csv": str(tmp_path / "a.csv")}, tier="Huge")
    assert len(fake_domino.commits) == 1


def test_a_transfer_that_takes_long_is_told_of_in_the_log(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("airflow_domino.progress.FIRST_LINE", 0.0)
    (tmp_path / "in.bin").write_bytes(bytes(2_000))
    run({"out.bin": bytes(3_000)}, inputs=["in.bin"], outputs=["out.bin"], output_dir=str(tmp_path))
    said = capsys.readouterr().out
    assert "in.bin: 2.0 kB" in said
    assert "out.bin: 3.0 of 3.0 kB (100 %)" in said
