"""What the client's own folder of examples does, on a project that nobody has used before."""

import io
import time


def drive(connect):
    domino = connect("domino/examples")
    # start_run_and_check_status.py and example_airflow_dag.py, by somebody who starts them again.
    blocking = {"poll_freq": 0.1, "max_poll_time": 120}
    equal = [domino.runs_start_blocking(["main.py"], **blocking) for _ in range(2)]
    direct = [domino.runs_start_blocking(["python -V"], is_direct=True, **blocking) for _ in range(2)]
    silent = domino.runs_start_blocking(["true"], is_direct=True, **blocking)
    # upload_and_run_file_and_download_results.py
    domino.files_upload("/input.txt", io.BytesIO(b"uploaded"))
    started = domino.runs_start(["copy.py", "input.txt", "output.txt"])["runId"]
    first = run = domino.runs_status(started)
    while run["completed"] == None:  # noqa: E711 - as in the example
        time.sleep(0.05)
        run = domino.runs_status(started)
    content = None
    if run["status"] == "Succeeded":
        (file,) = (file for file in domino.files_list(run["outputCommitId"])["data"] if file["path"] == "output.txt")
        content = domino.blobs_get(file["key"]).read().decode()
    # export_runs.py
    keys = ("queued", "started", "completed", "diagnosticStatistics")
    exported = [[one[key] for key in keys] for one in domino.runs_list()["data"]]
    return {
        "equal": [domino.runs_status(one["runId"]) for one in equal],
        "direct": [domino.runs_status(one["runId"]) for one in direct],
        "silent": domino.runs_status(silent["runId"]),
        "commits": domino.commits_list(),
        "first": first,
        "copied": run,
        "content": content,
        "exported": exported,
        "user": domino.get_user_id("domino"),
    }
