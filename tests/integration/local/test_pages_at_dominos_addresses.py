"""The pages that links lead to: jobs, one job, files; whatever text they have to show."""

from __future__ import annotations

from urllib.parse import quote

import pytest

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def job(local_domino):
    return local_domino.run(f"""sh -c 'echo "$0"; echo "$0" > "$0"' '{HOSTILE}'""", title=HOSTILE)


def page(domino, path: str):
    answer = domino.request("GET", path)
    assert answer.ok, answer.text
    return answer.text


def test_the_first_page_lists_projects_and_tiers(local_domino):
    text = page(local_domino, "/")
    assert local_domino.project in text
    assert "X-Large" in text


def test_the_jobs_of_a_project_are_listed_with_their_status(local_domino, job):
    text = page(local_domino, f"/jobs/{local_domino.project}")
    assert f"/jobs/{local_domino.project}/{job['id']}/logs" in text
    assert "Succeeded" in text


def test_a_job_is_shown_with_its_facts_and_its_log_is_read_in_pieces(local_domino, job):
    base = f"/jobs/{local_domino.project}/{job['id']}"
    text = page(local_domino, f"{base}/logs?status=all")
    assert "Small" in text
    assert job["commitDetails"]["inputCommitId"] in text
    live = local_domino.get(f"{base}/live")
    assert HOSTILE in [line["text"] for line in live["lines"]]
    assert live["isComplete"] is True


def test_files_of_a_commit_are_listed_and_downloaded(local_domino):
    run = local_domino.run("write.py 'odd/a b%20?.txt=<b>content</b>'")
    base, commit = f"/u/{local_domino.project}", run["commitDetails"]["outputCommitId"]
    assert "odd/" in page(local_domino, f"{base}/browse?commitId={commit}")
    folder = page(local_domino, f"{base}/browse/odd?commitId={commit}")
    assert "/download/odd/a%20b%2520%3F.txt" in folder
    assert page(local_domino, f"{base}/download/odd/a%20b%2520%3F.txt?commitId={commit}") == "<b>content</b>"


def test_a_downloaded_file_is_never_shown_by_the_browser_itself(local_domino):
    answer = local_domino.request("GET", f"/u/{local_domino.project}/download/hello.py")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/jobs/{project}",
        "/jobs/{project}?text={hostile}&user={hostile}&tier={hostile}",
        "/jobs/{project}/{job}/logs",
        "/jobs/{project}/{hostile}/logs",
        "/u/{project}/browse?commitId={commit}",
        "/u/{project}/browse/{hostile}?commitId={commit}",
        "/u/{project}/browse?commitId={hostile}",
        "/login?redirectPath={hostile}",
    ],
)
def test_pages_escape_what_they_show_and_load_nothing_from_elsewhere(local_domino, job, path):
    commit = job["commitDetails"]["outputCommitId"]
    names = {"project": local_domino.project, "job": job["id"], "commit": commit, "hostile": quote(HOSTILE, safe="")}
    answer = local_domino.request("GET", path.format(**names))
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<img" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "pattern", ["/{project}/runs/{job}", "/u/{project}/runs/{job}", "/projects/{project}/runs/{job}"]
)
def test_older_addresses_of_a_run_lead_to_its_page(local_domino, job, pattern):
    answer = local_domino.request("GET", pattern.format(project=local_domino.project, job=job["id"]))
    assert answer.url == f"{local_domino.url}/jobs/{local_domino.project}/{job['id']}/logs"


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/nobody/nothing",
        "/jobs/{project}/000000000000000000000000/logs",
        "/u/{project}/browse?commitId=" + "0" * 40,
        "/u/{project}/browse/no-such-folder",
        "/u/{project}/download/no-such-file",
        "/no/such/page/at/all",
    ],
)
def test_a_page_of_something_unknown_is_a_readable_404(local_domino, path):
    answer = local_domino.request("GET", path.format(project=local_domino.project))
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
