"""What Airflow's provider manager is told about this package.

Every Airflow process loads this module, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Any

from airflow_domino.connection_form import CONNECTION_FIELDS, FIELD_BEHAVIOUR

DOMINO = "Domino Data Lab"
LUIGI = "Luigi"
TRIGGERS = ["airflow_domino.triggers.domino", "airflow_domino.triggers.domino_sensor", "airflow_domino.triggers.launch"]
LUIGI_TRIGGERS = ["airflow_domino.triggers.luigi"]


def _option(description: str, kind: str, default: str) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": None,
        "default": default,
    }


def get_provider_info() -> dict[str, Any]:
    """Describe the provider: its connection type, operators, links, decorator and options.

    :returns: a dictionary valid against Airflow's ``provider_info.schema.json``, with the connection form of 3.2+.
    """
    return {
        "package-name": "airflow-domino",
        "name": "Domino and Luigi",
        "description": "Domino Data Lab runs and Luigi pipelines as Airflow tasks.",
        "integrations": [
            {"integration-name": DOMINO, "external-doc-url": "https://docs.dominodatalab.com/", "tags": ["service"]},
            {"integration-name": LUIGI, "external-doc-url": "https://luigi.readthedocs.io/", "tags": ["software"]},
        ],
        "hooks": [{"integration-name": DOMINO, "python-modules": ["airflow_domino.hooks.domino"]}],
        "operators": [
            {"integration-name": DOMINO, "python-modules": ["airflow_domino.operators.domino"]},
            {
                "integration-name": LUIGI,
                "python-modules": ["airflow_domino.operators.luigi", "airflow_domino.operators.luigi_plan"],
            },
        ],
        "sensors": [
            {"integration-name": DOMINO, "python-modules": ["airflow_domino.sensors.domino"]},
            {"integration-name": LUIGI, "python-modules": ["airflow_domino.sensors.luigi"]},
        ],
        "triggers": [
            {"integration-name": DOMINO, "python-modules": TRIGGERS},
            {"integration-name": LUIGI, "python-modules": LUIGI_TRIGGERS},
        ],
        "extra-links": ["airflow_domino.links.domino.DominoRunLink", "airflow_domino.links.luigi.LuigiTrackingLink"],
        "task-decorators": [{"name": "domino", "class-name": "airflow_domino.decorators.domino.domino_task"}],
        "connection-types": [
            {
                "connection-type": "domino",
                "hook-class-name": "airflow_domino.hooks.domino.DominoHook",
                "hook-name": DOMINO,
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "asset-uris": [
            {
                "schemes": ["domino"],
                "handler": "airflow_domino.assets.sanitize_uri",
                "factory": "airflow_domino.assets.create_asset",
                "to_openlineage_converter": "airflow_domino.assets.to_openlineage",
            }
        ],
        "cli": ["airflow_domino.airflow_cli.get_cli_commands"],
        "config": {
            "domino": {
                "description": "Defaults of the tasks that are Domino runs or Luigi tasks.",
                "options": {
                    "default_deferrable": _option(
                        "Wait in the triggerer, without a worker slot, unless a task says otherwise.", "boolean", "True"
                    ),
                    "start_from_trigger": _option(
                        "Launch the runs of deferrable tasks from the triggerer, where nothing needs a worker"
                        " (Airflow 3.3).",
                        "boolean",
                        "True",
                    ),
                    "emit_assets": _option(
                        "Tell Airflow of what Luigi tasks made, as asset events.", "boolean", "True"
                    ),
                    "poll_interval": _option("Seconds between two looks at the runs that are awaited.", "float", "10"),
                    "outage_budget": _option(
                        "Seconds that Domino may stay out of reach before a waiting task fails.", "float", "3600"
                    ),
                    "expiry_warning_days": _option(
                        "Days before a connection's credential expires from which tasks, the page Domino and the test"
                        " of the connection say so; 0 for not before.",
                        "float",
                        "14",
                    ),
                    "output_dir": _option(
                        "Base of relative local paths (inputs, outputs) of tasks that give no output_dir.", "string", ""
                    ),
                    "luigi_shared_folder": _option(
                        "Folder that all workers see: there they lock the Luigi task that they run, so that no two"
                        " run one at once, and keep what RunAnywayTarget remembers. Empty where each machine is for"
                        " itself.",
                        "string",
                        "",
                    ),
                    "luigi_scheduler_url": _option(
                        "Address of a central Luigi scheduler (luigid), such as http://luigid:8082, that is told of"
                        " all Luigi tasks, for its graph page; empty for none.",
                        "string",
                        "",
                    ),
                },
            }
        },
    }
