"""When a run goes to the next tier, and how a list of tiers is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_domino.domino.causes import died_of_memory, stayed_queued
from airflow_domino.domino.climbing import parse_tiers, tier_index
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.domino.models import Run, RunStatus

SUBMITTED = datetime(2026, 3, 1, tzinfo=UTC)
TIERS = ("Small", "Large", "X-Large")
LAUNCHERS_LAST_LINE = "Failed with exit code: 1"


def ended(word: str = "Failed", number: int = 1, **more: Any) -> Run:
    return Run(
        f"id{number}", number, "a title", "train.py", "p1", RunStatus(word, True), submitted_at=SUBMITTED, **more
    )


def stopped_after(seconds: float, **more: Any) -> Run:
    return ended("Stopped", completed_at=SUBMITTED + timedelta(seconds=seconds), **more)


# ---- what Domino says


@pytest.mark.parametrize(
    "words",
    [
        "OutOfMemory",
        "UserCodeOutOfMemory",
        "OOMKilled",
        "CONTAINER_OOM_KILLED",
        "Your command ran out of memory",
        "The pod was evicted: it exceeded its memory limit",
        "The node was low on resource: memory. Threshold quantity: 100Mi",
        "The command ended with exit code 137",
        "exit code: 137",
        "exited with code 137",
        "exitCode=137",
        "exit status 137",
    ],
)
@pytest.mark.parametrize("place", ["failure_reason", "failure_message"])
@pytest.mark.parametrize("status", ["Failed", "Error"])
def test_dominos_own_words_for_a_death_of_memory_are_known(status: str, place: str, words: str) -> None:
    assert died_of_memory(ended(status, **{place: words}))


@pytest.mark.parametrize(
    "words",
    [
        "UserCodeFailed",
        "The command ended with exit code 1",
        "The command ended with exit code 1370",
        "The command ended with exit code 143",
        "No room on the zoom node",
        "0/5 nodes are available: 5 Insufficient memory",
    ],
)
def test_other_words_of_domino_are_no_death_of_memory(words: str) -> None:
    assert not died_of_memory(ended(failure_message=words))


@pytest.mark.parametrize("status", ["Succeeded", "Stopped"])
def test_a_run_that_was_stopped_or_succeeded_did_not_die_of_memory(status: str) -> None:
    assert not died_of_memory(ended(status, failure_message="exit code 137"), ["MemoryError"])


# ---- what the log says


@pytest.mark.parametrize(
    "last",
    [
        "MemoryError",
        "MemoryError: Unable to allocate 7.28 TiB",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array with shape (1000000,)",
        "pyarrow.lib.ArrowMemoryError: malloc of size 1099511627776 failed",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.",
        "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 15.90 GiB total capacity)",
        "RuntimeError: CUDA error: out of memory",
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
        "Error: cannot allocate vector of size 74.5 Gb",
        "Error in rnorm(1e+10) : cannot allocate vector of size 74.5 Gb",
        "  what():  std::bad_alloc",
        "train.sh: line 3:  4711 Killed                  python train.py",
        "subprocess.CalledProcessError: Command '['python', 'x.py']' died with <Signals.SIGKILL: 9>.",
        "exit code 137",
        "Failed with exit code: 137",
    ],
)
@pytest.mark.parametrize("after", [[], [LAUNCHERS_LAST_LINE], ["", LAUNCHERS_LAST_LINE, ""]], ids=["last", "1", "3"])
def test_last_lines_that_are_only_written_at_a_death_of_memory_are_known(last: str, after: list[str]) -> None:
    assert died_of_memory(ended(), ["loading 3 files", last, *after])


def test_rs_own_last_line_does_not_hide_the_one_before() -> None:
    tail = ["Error: cannot allocate vector of size 74.5 Gb", "Execution halted", LAUNCHERS_LAST_LINE]
    assert died_of_memory(ended(), tail)


@pytest.mark.parametrize(
    "tail",
    [
        [],
        ["Killed"],
        ["Process state: Killed"],
        ["memory in use: 12 GiB"],
        ["INFO no out of memory errors were seen"],
        ["ValueError: out of memory budget must be positive"],
        ["AssertionError: expected MemoryError"],
        ["the MemoryError above was handled, and the smaller model is trained"],
        ["job 12 ended with exit code 137, going on"],
        ["Failed with exit code: 1370"],
        ["MemoryError: too large", "ValueError: the smaller model is not fitted"],
        ["MemoryError: too large", "trying a smaller one", "it is fitted", "its score is too low"],
    ],
    ids=lambda tail: " / ".join(tail) or "nothing",
)
def test_a_program_that_merely_speaks_of_memory_did_not_die_of_it(tail: list[str]) -> None:
    assert not died_of_memory(ended(), [*tail, LAUNCHERS_LAST_LINE])


def test_the_log_counts_only_where_the_command_failed() -> None:
    assert not died_of_memory(ended("Error"), ["MemoryError"])


# ---- the queue


def test_a_run_that_was_stopped_before_it_started_stayed_queued_if_that_took_as_long_as_allowed() -> None:
    assert stayed_queued(stopped_after(600), 600)
    assert not stayed_queued(stopped_after(300), 600)
    assert not stayed_queued(stopped_after(600), None)


@pytest.mark.parametrize(("queue_timeout", "early"), [(10.0, 1.0), (600.0, 60.0), (36_000.0, 60.0)])
def test_dominos_clock_may_be_a_little_behind_ours(queue_timeout: float, early: float) -> None:
    assert stayed_queued(stopped_after(queue_timeout - early), queue_timeout)
    assert not stayed_queued(stopped_after(queue_timeout - 2 * early), queue_timeout)


def test_a_run_that_had_started_was_stopped_for_another_reason() -> None:
    assert not stayed_queued(stopped_after(900, started_at=SUBMITTED + timedelta(seconds=700)), 600)


def test_a_run_whose_times_are_unknown_is_not_held_to_have_stayed_queued() -> None:
    assert not stayed_queued(ended("Stopped"), 600)


# ---- which tier is next


def no_log(run: Run) -> list[str]:
    raise AssertionError(f"the log of run {run.number} was asked for in vain")


MEMORY = ended(failure_reason="OOMKilled")
QUEUE = stopped_after(700)


@pytest.mark.parametrize(
    ("earlier", "index"),
    [
        ([], 0),
        ([MEMORY], 1),
        ([QUEUE], 1),
        ([MEMORY, QUEUE], 2),
        ([MEMORY, MEMORY, MEMORY, QUEUE], 2),
        ([ended("Error"), MEMORY], 1),
        ([stopped_after(5), ended("Error")], 0),
    ],
)
def test_each_death_of_memory_or_of_the_queue_is_a_step_and_nothing_else_is(earlier: list[Run], index: int) -> None:
    assert tier_index(earlier, TIERS, 600, no_log) == index


def test_the_log_of_a_failed_run_is_read_where_domino_does_not_say_why() -> None:
    logs = {1: ["MemoryError"], 2: ["ValueError: wrong"], 3: []}
    earlier = [ended(number=number) for number in logs]

    assert tier_index(earlier, TIERS, None, lambda run: logs[run.number]) == 1


# ---- how tiers are given


@pytest.mark.parametrize(
    ("given", "tiers"),
    [
        (None, (None,)),
        ("", (None,)),
        ("  ", (None,)),
        ("None", (None,)),
        ("Small", ("Small",)),
        (" Small ", ("Small",)),
        (["Small", "Large"], ("Small", "Large")),
        (("Small",), ("Small",)),
        ('["Small", "X-Large"]', ("Small", "X-Large")),
        ("['Small', 'X-Large']", ("Small", "X-Large")),
        ('["Ada\'s", "Large"]', ("Ada's", "Large")),
        ("[GPU] Large", ("[GPU] Large",)),
    ],
)
def test_one_tier_several_or_none_are_read_also_from_a_rendered_template(
    given: Any, tiers: tuple[str | None, ...]
) -> None:
    assert parse_tiers(given) == tiers


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "a list of them to climb"),
        ("[]", "a list of them to climb"),
        (["Small", None], "a list of them to climb"),
        (["Small", ""], "a list of them to climb"),
        ([1, 2], "a list of them to climb"),
        (7, "a list of them to climb"),
        ({"Small": 1}, "a list of them to climb"),
        (["Small", "Large", "Small"], "twice"),
        (["Small", "Small "], "twice"),
        ("[Small, Large]", "neither a tier nor a list"),
        ("[__import__('os').getcwd()]", "neither a tier nor a list"),
    ],
)
def test_what_cannot_be_read_as_tiers_is_refused_with_what_was_given(given: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as refusal:
        parse_tiers(given)
    assert repr(given) in str(refusal.value)
