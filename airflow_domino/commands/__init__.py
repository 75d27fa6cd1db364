"""The sub-commands of ``airflow-domino``: one module each, with ``add_arguments(parser)`` and ``execute(options)``."""
