"""Complete tasks are made again on request; what they had made is moved aside, and never deleted."""

from __future__ import annotations

import re

import pytest

PIPELINE = """
import pathlib
class Model(luigi.Task):
    name = luigi.Parameter(default="a")
    def output(self):
        return luigi.LocalTarget(f"{self.name}.model")
    def run(self):
        if pathlib.Path("fail").exists():
            raise RuntimeError("told to fail")
        with self.output().open("w") as file:
            file.write("new")

class Report(luigi.Task):
    def requires(self):
        return [Model(name="a"), Model(name="b")]
    def output(self):
        return luigi.LocalTarget("report.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("new")

class Other(luigi.Task):
    def output(self):
        return luigi.LocalTarget("other.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("new")

class Everything(luigi.WrapperTask):
    def requires(self):
        return [Report(), Other()]
"""


@pytest.fixture
def made(write_module, work):
    """A pipeline whose outputs are all there, with old content."""
    write_module("pipeline", PIPELINE)
    for name in ("a.model", "b.model", "other.txt", "report.txt"):
        (work / name).write_text("old")
    return work


ASIDE = re.compile(r"(.+)\.before-force-\d{8}T\d{6}Z(-\d+)?")


def contents(work):
    """What is at the places of outputs."""
    return {path.name: path.read_text() for path in sorted(work.iterdir()) if not ASIDE.fullmatch(path.name)}


def aside(work):
    """What was moved aside, by the name that it had; each output once."""
    found = {ASIDE.fullmatch(path.name): path for path in work.iterdir() if ASIDE.fullmatch(path.name)}
    named = {match[1]: path for match, path in found.items()}
    assert len(named) == len(found)
    return named


def test_force_makes_the_task_itself_again_and_not_what_it_requires(made, ask):
    answer = ask("run", "pipeline:Report", force=True)
    assert (answer.outcome, answer.facts["already_complete"]) == ("done", False)
    assert contents(made) == {"a.model": "old", "b.model": "old", "other.txt": "old", "report.txt": "new"}


def test_the_old_output_stays_beside_the_new_one_and_the_log_says_where(made, ask):
    ask("run", "pipeline:Report", force=True)
    (old,) = aside(made).values()
    assert (old.name.split(".before")[0], old.read_text()) == ("report.txt", "old")
    assert f"Made again on request: moved {made / 'report.txt'} to {old}" in ask.lines


def test_a_name_that_is_taken_gets_a_number(made, ask, write_module):
    write_module(
        "still",
        """
        import time
        now = time.struct_time((2026, 11, 21, 8, 15, 0, 5, 325, 0))
        time.gmtime = lambda *given: now
        """,
    )
    write_module("pipeline", "import still\n" + PIPELINE)
    for _ in range(3):
        assert ask("run", "pipeline:Model", force=True).outcome == "done"
    kept = sorted(path.name for path in made.iterdir() if path.name.startswith("a.model."))
    stamp = "a.model.before-force-20261121T081500Z"
    assert kept == [stamp, f"{stamp}-2", f"{stamp}-3"]


def test_force_with_families_makes_exactly_those_again(made, ask):
    answer = ask("run", "pipeline:Report", force=["Model"])
    assert answer.outcome == "done"
    assert contents(made) == {"a.model": "new", "b.model": "new", "other.txt": "old", "report.txt": "old"}


def test_with_downstream_what_requires_a_family_is_made_again_too(made, ask):
    answer = ask("run", "pipeline:Everything", force=["Model"], force_downstream=True)
    assert answer.outcome == "done"
    assert contents(made) == {"a.model": "new", "b.model": "new", "other.txt": "old", "report.txt": "new"}
    assert set(aside(made)) == {"a.model", "b.model", "report.txt"}


def test_downstream_leaves_what_a_family_itself_requires(made, ask):
    assert ask("run", "pipeline:Everything", force=["Report"], force_downstream=True).outcome == "done"
    assert contents(made) == {"a.model": "old", "b.model": "old", "other.txt": "old", "report.txt": "new"}


def test_a_failed_attempt_puts_the_old_output_back(made, ask):
    (made / "fail").touch()
    assert ask("run", "pipeline:Model", force=True).outcome == "run_failed"
    (made / "fail").unlink()
    assert contents(made) == {"a.model": "old", "b.model": "old", "other.txt": "old", "report.txt": "old"}


def test_a_family_that_is_not_in_the_graph_is_refused(made, ask):
    answer = ask("run", "pipeline:Report", force=["Modle"])
    assert answer.outcome == "force_impossible"
    assert "Model" in answer.message
    assert contents(made)["report.txt"] == "old"


def test_a_task_without_outputs_of_its_own_cannot_be_forced(made, ask):
    answer = ask("run", "pipeline:Everything", force=True)
    assert answer.outcome == "force_impossible"
    assert "Name the families" in answer.message


def test_a_task_that_is_complete_without_its_output_cannot_be_forced(write_module, ask):
    write_module(
        "remote",
        """
        from luigi.mock import MockTarget
        class Remote(luigi.Task):
            def output(self):
                return MockTarget("x")
            def complete(self):
                return True
        """,
    )
    assert ask("run", "remote:Remote", force=True).outcome == "force_impossible"


def test_what_an_attempt_made_before_it_failed_stays_and_the_old_output_beside_it(made, ask, write_module):
    write_module(
        "pipeline",
        """
        class Half(luigi.Task):
            def output(self):
                return [luigi.LocalTarget("a.model"), luigi.LocalTarget("b.model")]
            def run(self):
                with self.output()[0].open("w") as file:
                    file.write("new")
                raise RuntimeError("half way")
        """,
    )
    assert ask("run", "pipeline:Half", force=True).outcome == "run_failed"
    assert contents(made) == {"a.model": "new", "b.model": "old", "other.txt": "old", "report.txt": "old"}
    assert {name: path.read_text() for name, path in aside(made).items()} == {"a.model": "old"}


def test_a_killed_attempt_loses_nothing_even_when_the_next_one_fails_too(made, ask):
    kept = made / "a.model.before-force-20260101T000000Z"
    (made / "a.model").rename(kept)
    (made / "fail").touch()
    assert ask("run", "pipeline:Model", force=True).outcome == "run_failed"
    assert kept.read_text() == "old"


def test_a_folder_is_put_aside_whole(write_module, ask, work):
    write_module(
        "folders",
        """
        import pathlib
        class Folder(luigi.Task):
            def output(self):
                return luigi.LocalTarget("folder")
            def run(self):
                pathlib.Path("folder").mkdir()
                pathlib.Path("folder/new.txt").touch()
        """,
    )
    (work / "folder").mkdir()
    (work / "folder" / "old.txt").touch()
    assert ask("run", "folders:Folder", force=True).outcome == "done"
    assert [path.name for path in (work / "folder").iterdir()] == ["new.txt"]
    assert [path.name for path in aside(work)["folder"].iterdir()] == ["old.txt"]


def test_external_data_is_never_moved(write_module, ask, work):
    write_module(
        "delivery",
        """
        class Delivered(luigi.ExternalTask):
            def output(self):
                return luigi.LocalTarget("delivered.csv")

        class Uses(luigi.WrapperTask):
            def requires(self):
                return Delivered()
        """,
    )
    (work / "delivered.csv").write_text("theirs")
    answer = ask("run", "delivery:Uses", force=["Delivered"])
    assert answer.outcome == "force_impossible"
    assert "it is external" in answer.message
    assert contents(work) == {"delivered.csv": "theirs"}


MIXED = """
from luigi.target import FileSystem, FileSystemTarget

class Movable(luigi.Task):
    def output(self):
        return luigi.LocalTarget("movable.txt")

class CannotMove(FileSystem):
    def exists(self, path):
        return True
    def remove(self, path, recursive=True, skip_trash=True):
        raise RuntimeError("nobody asked for that")

class There(FileSystemTarget):
    fs = CannotMove()
    def open(self, mode):
        raise NotImplementedError

class Immovable(luigi.Task):
    def requires(self):
        return Movable()
    def output(self):
        return There("far/away.txt")

class Row(luigi.Target):
    def exists(self):
        return True

class InDatabase(luigi.Task):
    def requires(self):
        return Movable()
    def output(self):
        return Row()

class Stubborn(luigi.Task):
    def requires(self):
        return Movable()
    def complete(self):
        return True

class Broken(luigi.Task):
    def requires(self):
        return Movable()
    def complete(self):
        return False
    def output(self):
        class Unreachable(Row):
            def exists(self):
                raise OSError("no route to the database")
        return Unreachable()
"""


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("Immovable", "far/away.txt is in a CannotMove, which cannot move anything"),
        ("InDatabase", "is a Row, which has no place to be moved from"),
        ("Broken", "no route to the database"),
    ],
)
def test_nothing_is_moved_when_one_output_cannot_be(write_module, ask, work, family, reason):
    write_module("mixed", MIXED)
    (work / "movable.txt").write_text("old")
    answer = ask("run", f"mixed:{family}", force=["Movable", family])
    assert answer.outcome == "force_impossible"
    assert reason in answer.message
    assert [path.name for path in work.iterdir()] == ["movable.txt"]


def test_all_comes_back_when_one_task_is_complete_whatever_is_there(write_module, ask, work):
    write_module("mixed", MIXED)
    (work / "movable.txt").write_text("old")
    answer = ask("run", "mixed:Stubborn", force=["Movable", "Stubborn"])
    assert answer.outcome == "force_impossible"
    assert "Stubborn() cannot be made again on request: it is complete without" in answer.message
    assert [path.name for path in work.iterdir()] == ["movable.txt"]


BUCKET = """
import pathlib, shutil
from luigi.target import FileSystem, FileSystemTarget

class Bucket(FileSystem):
    # As Luigi's client of S3: a folder is a beginning of names, and a move is a copy and a removal.
    root = pathlib.Path("bucket")

    def _local(self, path):
        return self.root / path.removeprefix("s3://bucket/").strip("/")
    def exists(self, path):
        return self._local(path).exists()
    def remove(self, path, recursive=True, skip_trash=True):
        local = self._local(path)
        shutil.rmtree(local) if local.is_dir() else local.unlink()
    def move(self, path, dest):
        local = self._local(path)
        (shutil.copytree if local.is_dir() else shutil.copy)(local, self._local(dest))
        if pathlib.Path("outage").exists():
            raise OSError("the bucket is out of reach")
        self.remove(path)

class Flagged(FileSystemTarget):
    fs = Bucket()
    def open(self, mode):
        raise NotImplementedError
    def exists(self):
        return self.fs.exists(self.path + "_SUCCESS")

class Shards(luigi.Task):
    def output(self):
        return Flagged("s3://bucket/shards/")
    def run(self):
        folder = Bucket()._local(self.output().path)
        folder.mkdir(parents=True)
        (folder / "_SUCCESS").write_text("new")
"""


@pytest.fixture
def bucket(write_module, work):
    """A pipeline whose output is in a bucket, with old content."""
    write_module("shards", BUCKET)
    folder = work / "bucket" / "shards"
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").write_text("old")
    return folder


def test_an_output_in_a_bucket_is_moved_by_the_buckets_client(bucket, ask):
    assert ask("run", "shards:Shards", force=True).outcome == "done"
    assert (bucket / "_SUCCESS").read_text() == "new"
    assert (aside(bucket.parent)["shards"] / "_SUCCESS").read_text() == "old"


def test_an_output_whose_move_was_broken_off_is_still_at_its_place(bucket, ask, work):
    (work / "outage").touch()
    answer = ask("run", "shards:Shards", force=True)
    assert answer.outcome == "force_impossible"
    assert "the bucket is out of reach" in answer.message
    assert (bucket / "_SUCCESS").read_text() == "old"


def test_an_object_that_is_a_folder_too_is_refused_since_its_client_would_lose_it(bucket, ask, write_module):
    write_module(
        "shards",
        BUCKET
        + """
class Both(Bucket):
    def get_key(self, path):
        return "an object of that name"
    def isdir(self, path):
        return True

class Mixed(Shards):
    def output(self):
        target = Flagged("s3://bucket/shards/")
        target.fs = Both()
        return target
""",
    )
    answer = ask("run", "shards:Mixed", force=True)
    assert answer.outcome == "force_impossible"
    assert "is the name of an object and of a folder" in answer.message
    assert [path.name for path in bucket.parent.iterdir()] == ["shards"]


def test_an_output_in_memory_is_moved_within_it(write_module, ask):
    write_module(
        "memory",
        """
        from luigi.mock import MockFileSystem, MockTarget
        class Remembered(luigi.Task):
            def output(self):
                return MockTarget("remembered")
            def run(self):
                print("kept", [name.partition(".before-force-")[0] for name in MockFileSystem().get_all_data().keys()])
                with self.output().open("w") as file:
                    file.write("new")
        with MockTarget("remembered").open("w") as file:
            file.write("old")
        """,
    )
    assert ask("run", "memory:Remembered", force=True).outcome == "done"
    assert "kept ['remembered']" in ask.lines
