"""Jobs: started, awaited, stopped, started again, listed, read."""

import time

from domino import exceptions


def drive(connect):
    domino = connect("domino/jobs")
    commit = domino.commits_list()[0]
    environment = domino.environments_list()["data"][0]["id"]
    tier = domino.get_hardware_tier_id_from_name("Large")
    done = domino.job_start_blocking(
        command="hello.py",
        title="from the client",
        commit_id=commit,
        environment_id=environment,
        hardware_tier_name="Medium",
        poll_freq=0.1,
    )
    domino.process_log(domino.get_run_log(done["id"]))
    slow = domino.job_start("sleep.py 300", hardware_tier_id=tier)
    awaited(domino, slow["id"], "Running")
    stopping = domino.job_stop(slow["id"], commit_results=False).json()
    awaited(domino, slow["id"], "Stopped")
    again = domino.job_restart(slow["id"]).json()
    domino.run_stop(again["id"])
    fresh = domino.job_restart(done["id"], should_use_original_input_commit=False).json()
    project = domino.project_id
    return {
        "commit": commit,
        "done": done,
        "details": domino.job_runtime_execution_details(done["id"]),
        "log": domino.get_run_log(done["id"]),
        "output": domino.get_run_log(done["id"], include_setup_log=False),
        "stdout": domino.runs_stdout(done["id"]),
        "file": domino.files_download("hello.txt", done["commitDetails"]["outputCommitId"]).read().decode(),
        "stopping": stopping,
        "stopped": domino.job_status(slow["id"]),
        "again": again,
        "fresh": fresh,
        "cluster": domino.job_start(
            "hello.py",
            compute_cluster_properties={
                "clusterType": "Ray",
                "computeEnvironmentId": environment,
                "masterHardwareTierId": "small-k8s",
                "workerHardwareTierId": "small-k8s",
                "workerCount": 1,
                "workerStorage": {"value": 5, "unit": "GiB"},
            },
        ),
        "spark": domino.job_start("hello.py", on_demand_spark_cluster_properties={"computeEnvironmentId": environment}),
        "pages": [
            [one["number"] for one in domino.jobs_list(project, sort_by="asc", page_size=2, page_no=page)["jobs"]]
            for page in (1, 2)
        ],
        "three": len(domino.jobs_list(project)["jobs"]),
        "stopped_first": [one["id"] for one in domino.jobs_list(project, order_by="status", page_size=50)["jobs"]],
        "completed": domino.jobs_list(project, status="completed", show_archived="true", page_size=50)["totalCount"],
        "tagged": domino.jobs_list(project, tag="none has it")["totalCount"],
        "branch": code_of_a_branch(connect),
        "refused": refusals(domino, environment),
    }


def awaited(domino, job, status):
    """Wait until a job has a status."""
    while (found := domino.job_status(job)["statuses"])["executionStatus"] != status:
        assert not found["isCompleted"], found
        time.sleep(0.05)


def code_of_a_branch(connect):
    """Jobs of a git-based project, from a branch, from a tag and from wherever the repository's HEAD is."""
    domino = connect("domino/code")
    jobs = [
        domino.job_start_blocking(command="say.py", branch="feature", poll_freq=0.1),
        domino.job_start_blocking(
            command="say.py", main_repo_git_ref={"type": "tags", "value": "first"}, poll_freq=0.1
        ),
        domino.job_start_blocking(command="say.py", poll_freq=0.1),
    ]
    return [domino.runs_stdout(job["id"]) for job in jobs]


def refusals(domino, environment):
    """What the client makes of refusals, and of jobs that fail."""
    found = {}
    for name, wrong in {
        "failed": {"command": "fail.py"},
        "no such tier": {"command": "hello.py", "hardware_tier_name": "Enormous"},
        "no such tier id": {"command": "hello.py", "hardware_tier_id": "enormous"},
        "no such commit": {"command": "hello.py", "commit_id": "0" * 40},
        "no such environment": {"command": "hello.py", "environment_id": "0" * 24},
        "nothing to run": {"command": " "},
        "no such branch": {"command": "hello.py", "branch": "gone", "environment_id": environment},
    }.items():
        try:
            domino.job_start_blocking(poll_freq=0.1, **wrong)
        except (exceptions.DominoException, OSError) as error:
            found[name] = type(error).__name__
    return found
