"""The benchmark of waiting runs, and says what it promises; how fast anything is here is not asserted."""

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
