"""Environments with revisions, hardware tiers, and the deployment."""


def drive(connect):
    domino = connect("domino/environments")
    default = domino.get_default_environment()
    made = domino.create_environment("made", "Private", summary="made by the client")["environment"]
    revision = domino.create_environment_revision(made["id"], summary="second")["environmentRevision"]
    domino.restrict_environment_revision(made["id"], revision["id"])
    job = domino.job_start_blocking(command="hello.py", environment_id=made["id"], poll_freq=0.1)
    changed = domino.get_environment(made["id"])["environment"]
    domino.archive_environment(made["id"])
    return {
        "default": default["name"],
        "made": made,
        "changed": changed,
        "revision": revision,
        "used": domino.job_runtime_execution_details(job["id"])["environment"],
        "archived": domino.get_environment(made["id"])["environment"]["archived"],
        "listed": [environment["name"] for environment in domino.environments_list()["data"]],
        "tiers": [tier["hardwareTier"]["name"] for tier in domino.hardware_tiers_list()],
        "tier": domino.get_hardware_tier_id_from_name("GPU"),
        "no tier": domino.get_hardware_tier_id_from_name("Enormous"),
        "version": domino.deployment_version()["version"],
        "is new": domino.requires_at_least("5.3.1"),
    }
