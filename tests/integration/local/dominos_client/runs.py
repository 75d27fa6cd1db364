"""Runs, as version 1 of the API calls jobs."""

import time

from domino import exceptions


def drive(connect):
    domino = connect("domino/runs")
    write = domino.runs_start_blocking(["write.py", "a.txt=one two"], title="old", tier="Small", poll_freq=0.1)
    shell = domino.runs_start_blocking(["echo from $((1 + 1)) shells > shell.txt"], is_direct=True, poll_freq=0.1)
    try:
        domino.runs_start_blocking(["fail.py"], poll_freq=0.1)
        failed = None
    except exceptions.RunFailedException as error:
        failed = str(error)
    started = domino.runs_start(["sleep.py", "300"], commit_id=domino.commits_list()[0])
    while (status := domino.runs_status(started["runId"]))["status"] != "Running":
        assert not status["isCompleted"], status
        time.sleep(0.05)
    domino.run_stop(started["runId"], save_changes=False)
    while not domino.get_run_info(started["runId"])["isCompleted"]:
        time.sleep(0.05)
    run, output = domino.runs_status(write["runId"]), domino.runs_status(shell["runId"])["outputCommitId"]
    key = next(file["key"] for file in domino.files_list(run["outputCommitId"])["data"] if file["path"] == "a.txt")
    return {
        "run": run,
        "message": write["message"],
        "listed": [one["id"] for one in domino.runs_list()["data"]],
        "ids": [started["runId"], shell["runId"], write["runId"]],
        "file": domino.blobs_get(key).read().decode(),
        "shell": domino.files_download("shell.txt", output).read().decode(),
        "failed": failed,
        "stopped": domino.runs_status(started["runId"]),
        "stdout": domino.runs_stdout(write["runId"]),
    }
