"""The benchmarks run, and say what they promise; how fast anything is here is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_of_waiting_prints_a_table_and_writes_its_results(tmp_path: Path):
    file = tmp_path / "results.json"
    options = ["--sizes", "10", "--interval", "1", "--intervals", "2", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks.watch", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "requests/interval" in done.stdout

    (result,) = json.loads(file.read_text())
    measured = ("requests_per_interval", "cpu_percent", "delay_p99_intervals", "cpu_ratio_vs_single_polls", "rss_mb")
    assert result["waiting"] == 10
    assert all(result[name] > 0 for name in measured), result
    assert result["ended_runs"] == 5
    assert result["ended_runs_not_noticed"] == 0
    assert result["requests_per_interval"] < result["other_ways"]["single polls"]["requests_per_interval"]


def test_the_benchmark_of_luigi_pipelines_prints_a_table_and_writes_its_results(tmp_path: Path):
    file = tmp_path / "results.json"
    options = ["--sizes", "12", "--times", "1", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks.luigi_graphs", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert "luigi.build s" in done.stdout

    results = json.loads(file.read_text())
    assert [(result["shape"], result["tasks"]) for result in results] == [("wide", 12), ("deep", 12), ("diamond", 12)]
    measured = ("parse_cold_whole_ms", "parse_warm_whole_ms", "dag_objects_ms", "plan_ms", "one_task_seconds")
    measured += ("luigi_build_seconds", "ratio", "recheck_seconds", "existence_pass_seconds")
    for result in results:
        assert all(result[name] > 0 for name in measured), result
        assert result["parse_warm_ms"] < result["parse_cold_ms"]


def test_a_pipeline_too_large_for_luigis_scheduler_is_measured_without_it(tmp_path: Path):
    file = tmp_path / "results.json"
    options = ["--sizes", "12", "--shapes", "deep", "--times", "1", "--most-luigi-build", "5", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks.luigi_graphs", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert "luigi.build is left out" in done.stdout
    (result,) = json.loads(file.read_text())
    assert result["luigi_build_seconds"] is None
    assert result["ratio"] is None
    assert result["one_task_seconds"] > 0


def test_the_benchmark_of_the_local_domino_prints_a_table_and_writes_its_result(tmp_path: Path):
    file = tmp_path / "result.json"
    options = ["--runs", "30", "--requests", "30", "--repetitions", "1", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks.local_domino", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "times a bare subprocess" in done.stdout

    result = json.loads(file.read_text())
    measured = ("starts_per_second", "status_requests_per_second", "list_10000_ms")
    measured += ("start_to_command_ms", "bare_subprocess_ms")
    assert all(result[name] > 0 for name in measured), result
    assert result["mb_per_1000_runs"] >= 0
