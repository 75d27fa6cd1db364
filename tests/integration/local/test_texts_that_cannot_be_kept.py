"""Whatever a run writes, its project can be read; what a request must not hold is refused before it is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

HALF, NUL = "\ud800", "a\0b"
# Each program leaves something behind that is no text, or that is too much of one.
STATS = {
    "strange_file": r"json.dumps({os.fsdecode(b'caf\xe9.csv'): 1})",
    "halves": r"json.dumps({'a': '\ud800', 'b\0': 'c\0', '\udfff': ['\ud800']})",
    "no_numbers": r"""'{"a": NaN, "b": -Infinity, "c": 1e999}'""",
    "deep": r"""'{"a": ' + 900 * '[' + 900 * ']' + '}'""",
    "deeper": r"""'{"a": ' + 90_000 * '[' + 90_000 * ']' + '}'""",
    "large": r"""'{"a": "' + 2_000_000 * 'x' + '"}'""",
    "bytes": r"bytes(range(256)).decode('latin-1')",
    "a_list": "'[1]'",
    "a_long_number": r"""'{"a": ' + 9999 * '1' + '}'""",
}
PROGRAMS = {
    f"{name}.py": f"import json, os\nopen('dominostats.json', 'wb').write(({text}).encode('latin-1'))\n"
    for name, text in STATS.items()
} | {
    "files_with_strange_names.py": (
        "names = [b'caf\\xe9.csv', b'new\\nline', b'return\\r', b'quote\\'\"', b'what?#%2f%00', b'back\\\\slash', b' ',"
        " b'\\xed\\xa0\\x80', b'\\x01\\x7f', '\\u202e\\ufeff\\u2028'.encode(), b'<script>', b'n' * 255,"
        " b'folder\\xe9/in']\n"
        "import os\n"
        "os.makedirs(b'folder\\xe9')\n"
        "for name in names:\n    open(name, 'wb').write(name)\n"
    ),
    "lines_that_are_no_text.py": (
        "import os\n"
        "os.write(1, b'caf\\xe9 \\xed\\xa0\\x80 nul \\0 bell \\a\\r escape \\x1b[31m \\xff\\xfe\\n')\n"
        "os.write(2, b'\\x80' * 100_000 + b'\\n' + '\\u2028\\u202e'.encode())\n"
    ),
}


def addresses(domino: Any, run_id: str) -> list[str]:
    """Every address that shows a run, its files or its log."""
    owner, name = domino.project.split("/")
    project_id, head = domino.project_id, domino.head()
    return [
        f"/v1/projects/{owner}/{name}/runs",
        f"/v1/projects/{owner}/{name}/runs/{run_id}",
        f"/v1/projects/{owner}/{name}/run/{run_id}/stdout",
        f"/v1/projects/{owner}/{name}/commits",
        f"/v1/projects/{owner}/{name}/files/{head}//",
        f"/v4/jobs?projectId={project_id}&page_size=1000",
        f"/v4/jobs/{run_id}",
        f"/v4/jobs/{run_id}/runtimeExecutionDetails",
        *(
            f"/v4/jobs/{run_id}/logsWithProblemSuggestions?logType={kind}"
            for kind in ("console", "stdout", "stderr", "stdoutstderr", "prepareoutput")
        ),
        f"/v4/files/browseFiles?ownerUsername={owner}&projectName={name}&filePath=/",
        f"/v4/projects/{project_id}/commits",
        f"/api/jobs/beta/jobs?projectId={project_id}&limit=1000",
        f"/api/jobs/beta/jobs/{run_id}",
        f"/api/jobs/beta/jobs/{run_id}/logs?logType=complete",
        f"/_local/runs/{run_id}",
        "/_local/ledger",
    ]


def pages(domino: Any, run_id: str) -> list[str]:
    """Every page that shows a run, its files or its log."""
    project = domino.project
    return [
        "/",
        f"/jobs/{project}",
        f"/jobs/{project}/{run_id}/logs",
        f"/jobs/{project}/{run_id}/live",
        f"/jobs/{project}/{run_id}/log.txt",
        f"/u/{project}/browse?commitId={domino.head()}",
    ]


def assert_readable(domino: Any, run_ids: dict[str, str]) -> None:
    """Ask all that there is of each run."""
    for program, run_id in run_ids.items():
        for where in addresses(domino, run_id):
            answer = domino.request("GET", where)
            assert answer.status_code == 200, f"{program}: {where}: {answer.text[:300]}"
            answer.content.decode()
            assert kept(answer.json()), f"{program}: {where} has what is no text"
        for where in pages(domino, run_id):
            answer = domino.request("GET", where)
            assert answer.status_code == 200, f"{program}: {where}: {answer.text[:300]}"


def kept(value: Any) -> bool:
    """Whether all texts of an answer can be kept by whoever gets it."""
    if isinstance(value, dict):
        return all(map(kept, value)) and all(map(kept, value.values()))
    if isinstance(value, list):
        return all(map(kept, value))
    return not isinstance(value, str) or not any("\ud800" <= letter <= "\udfff" for letter in value)


def test_nothing_that_runs_write_makes_their_project_unreadable_also_after_a_restart(start_local_domino):
    arguments = ["--open-pages"]
    domino = start_local_domino(PROGRAMS, arguments=arguments)
    jobs = {program: domino.run(program) for program in PROGRAMS}
    for program, job in jobs.items():
        # Domino's own file system keeps no file whose name is no text, and a run that loses a file has not succeeded.
        expected = "Error" if program == "files_with_strange_names.py" else "Succeeded"
        assert job["statuses"]["executionStatus"] == expected, (program, job.get("abnormalStatus"))
    run_ids = {program: job["id"] for program, job in jobs.items()}
    assert_readable(domino, run_ids)
    stats = {program: {stat["name"]: stat["value"] for stat in job["dominoStats"]} for program, job in jobs.items()}
    assert stats["strange_file.py"] == {r"caf\udce9.csv": "1"}
    assert stats["halves.py"] == {"a": r"\ud800", "b\0": "c\0", r"\udfff": '["\\ud800"]'}
    assert stats["no_numbers.py"] == {"a": "NaN", "b": "-Infinity", "c": "Infinity"}
    domino.stop()
    assert_readable(start_local_domino(PROGRAMS, arguments=arguments), run_ids)


def test_a_file_whose_name_is_no_text_is_left_out_and_the_log_names_it(start_local_domino):
    domino = start_local_domino(PROGRAMS)
    job = domino.run("files_with_strange_names.py")
    written = set(domino.files(job["commitDetails"]["outputCommitId"])) - set(PROGRAMS)
    assert {"new\nline", "return\r", "what?#%2f%00", "back\\slash", " ", "n" * 255} <= written
    assert not [name for name in written if "caf" in name or "folder" in name]
    told = "\n".join(domino.log(job["id"], "prepareoutput"))
    assert r"'caf\udce9.csv' was not kept" in told


@pytest.mark.parametrize("text", [HALF, NUL], ids=["half", "nul"])
def test_a_start_with_text_that_cannot_be_kept_is_refused_and_the_project_stays_readable(local_domino, text):
    before = len(local_domino.starts())
    for field in ({"commandToRun": f"hello.py {text}"}, {"commandToRun": "hello.py", "title": text}):
        answer = asked(local_domino, "/v4/jobs/start", {"projectId": local_domino.project_id, **field})
        assert answer.status_code == 400
        assert "cannot be kept" in answer.json()["message"]
    assert asked(local_domino, f"/v1/projects/{local_domino.project}/runs", {"command": ["a", text]}).status_code == 400
    assert len(local_domino.starts()) == before
    assert local_domino.request("GET", f"/v1/projects/{local_domino.project}/runs").ok


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_refused(local_domino, number):
    body = f'{{"projectId": "{local_domino.project_id}", "commandToRun": "true", "overrideVolumeSizeGiB": {number}}}'
    assert local_domino.request("POST", "/v4/jobs/start", data=body, headers=JSON).status_code == 400


def test_a_body_that_is_nested_deep_is_refused(local_domino):
    for depth in (200, 5_000, 500_000):
        body = '{"a":' * depth + "1" + "}" * depth
        assert local_domino.request("POST", "/v4/jobs/start", data=body, headers=JSON).status_code == 400


def test_a_name_in_an_address_cannot_hold_a_nul(local_domino):
    assert local_domino.request("GET", f"/v4/jobs?projectId={local_domino.project_id}&query=%00").status_code == 400
    assert local_domino.request("POST", "/project", data="projectName=a%00b").status_code == 400


JSON = {"Content-Type": "application/json"}


def asked(domino: Any, where: str, body: Any) -> Any:
    """Send JSON in which what is no text is escaped, as most programs write it."""
    return domino.request("POST", where, data=json.dumps(body), headers=JSON)
