"""Logs come line by line while a run goes on, whatever it writes and however much."""

from __future__ import annotations

import pytest

COUNT = """\
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
print("one", flush=True)
while not (folder / "go").exists():
    time.sleep(0.02)
print("two", file=sys.stderr, flush=True)
print("three without an end", end="")
"""
FLOOD = """\
import sys
line = b"x" * 1023 + b"\\n"
for _ in range(int(sys.argv[1])):
    sys.stdout.buffer.write(line)
"""


def page(domino, run_id: str, cursor: str = "0", **query):
    return domino.get(f"/v4/jobs/{run_id}/logsWithProblemSuggestions", latestTimeNano=cursor, **query)["logset"]


def read_all(domino, run_id: str, **query) -> list[dict]:
    lines, cursor = [], "0"
    while True:
        found = page(domino, run_id, cursor, **query)
        lines += found["logContent"]
        cursor = found["pagination"]["latestTimeNano"]
        if found["isComplete"]:
            return lines


def test_a_log_is_read_in_pieces_while_the_run_goes_on(start_local_domino, tmp_path):
    domino = start_local_domino({"count.py": COUNT})
    run_id = domino.start(f"count.py {tmp_path}")["id"]
    domino.wait(run_id, lambda job: page(domino, run_id)["logContent"])
    first = page(domino, run_id)
    assert [line["log"] for line in first["logContent"]] == ["one"]
    assert first["isComplete"] is False
    cursor = first["pagination"]["latestTimeNano"]
    assert page(domino, run_id, cursor)["logContent"] == []
    (tmp_path / "go").touch()
    domino.wait(run_id)
    second = page(domino, run_id, cursor)
    assert {(line["logType"], line["log"]) for line in second["logContent"]} == {
        ("stderr", "two"),
        ("stdout", "three without an end"),
    }
    assert second["isComplete"] is True
    assert page(domino, run_id, second["pagination"]["latestTimeNano"])["isComplete"] is True


@pytest.mark.parametrize(
    ("log_type", "lines"),
    [("stdout", ["out"]), ("stderr", ["err"]), ("stdoutstderr", ["out", "err"]), ("console", ["out", "err"])],
)
def test_the_streams_can_be_read_apart(local_domino, log_type, lines):
    job = local_domino.run("sh -c 'echo out; sleep 0.2; echo err >&2'")
    assert local_domino.log(job["id"], log_type) == lines
    assert all(line not in local_domino.log(job["id"], "prepareoutput") for line in lines)


def test_no_line_is_lost_or_repeated_when_read_in_small_pages(local_domino):
    job = local_domino.run('python -c "for number in range(1000): print(number)"')
    lines = read_all(local_domino, job["id"], limit=7)
    assert [line["log"] for line in lines] == [str(number) for number in range(1000)]


def test_lines_keep_the_order_of_their_times(local_domino):
    job = local_domino.run('python -c "for number in range(1000): print(number)"')
    times = [line["timestamp"] for line in read_all(local_domino, job["id"])]
    assert times == sorted(times)


def test_bytes_that_are_no_text_survive_in_the_file_and_are_shown_escaped(start_local_domino):
    domino = start_local_domino({"hello.py": "import sys\nsys.stdout.buffer.write(b'\\xff\\x00\\xfe end\\n')\n"})
    job = domino.run("hello.py")
    assert domino.log(job["id"]) == ["\\xff\x00\\xfe end"]
    assert domino.content(job["commitDetails"]["outputCommitId"], "results/stdout.txt") == b"\xff\x00\xfe end\n"
    assert "\\xff" in domino.get(f"/v1/projects/{domino.project}/run/{job['id']}/stdout")["stdout"]


def test_a_hundred_megabytes_are_kept_whole_and_read_in_bounded_pages(start_local_domino):
    domino = start_local_domino({"flood.py": FLOOD})
    job = domino.run("flood.py 102400")
    assert job["statuses"]["executionStatus"] == "Succeeded"
    first = page(domino, job["id"])
    assert sum(line["size"] for line in first["logContent"]) < 8 << 20
    assert first["isComplete"] is False
    path = f"/api/projects/v1/projects/{domino.project_id}/files/{domino.head()}/results/stdout.txt/content"
    with domino.request("GET", path, stream=True) as answer:
        assert sum(len(chunk) for chunk in answer.iter_content(1 << 20)) == 100 << 20


def test_a_very_long_line_comes_in_pieces(local_domino):
    job = local_domino.run("python -c \"print('x' * 300000)\"")
    assert "".join(local_domino.log(job["id"])) == "x" * 300_000


def test_markup_in_a_log_is_escaped_in_version_1(local_domino):
    job = local_domino.run("echo '<script>alert(1)</script>'")
    answer = local_domino.get(f"/v1/projects/{local_domino.project}/run/{job['id']}/stdout")
    assert "<script>" not in answer["stdout"]
    assert "&lt;script&gt;" in answer["stdout"]


def test_the_end_of_a_version_1_log_can_be_asked_for(local_domino):
    job = local_domino.run('python -c "for number in range(100): print(number)"')
    path = f"/v1/projects/{local_domino.project}/run/{job['id']}/stdout"
    answer = local_domino.get(path, previewNumberOfLines=2)["stdout"]
    assert "99" in answer
    assert "97" not in answer


def test_the_public_api_reads_the_same_log(local_domino):
    job = local_domino.run("sh -c 'echo out; sleep 0.2; echo err >&2'")
    answer = local_domino.get(f"/api/jobs/beta/jobs/{job['id']}/logs", logType="stdErr")
    assert [line["log"] for line in answer["logs"]["logContent"]] == ["err"]
    assert answer["logs"]["isComplete"] is True


@pytest.mark.parametrize("query", [{"latestTimeNano": "soon"}, {"logType": "nonsense"}, {"limit": -1}, {"limit": "x"}])
def test_a_log_is_not_read_from_nonsense(local_domino, query):
    job = local_domino.run("hello.py")
    answer = local_domino.request("GET", f"/v4/jobs/{job['id']}/logsWithProblemSuggestions", params=query)
    assert answer.status_code == 400
