"""Domino Data Lab runs and Luigi pipelines as Apache Airflow tasks, with a local Domino to develop on."""

__version__ = "0.1.0"
