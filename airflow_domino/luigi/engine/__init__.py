"""The engine: checks and runs one Luigi task in a process of its own, with Luigi's own worker.

Nothing here imports anything but the standard library and Luigi (>= 3.0, Python >= 3.9), and nothing outside imports
it from the pipeline's side: ``airflow_domino.luigi.execute`` starts it by its path, also under an interpreter in which
airflow_domino is not installed.
"""
