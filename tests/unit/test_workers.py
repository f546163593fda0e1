"""Work at the same time that has ended when the call returns."""

import threading

import pytest

from broker.adapters.workers import Threads


def test_workers_run_side_by_side_and_have_ended_afterwards() -> None:
    meeting, ended = threading.Barrier(4), list[int]()

    def worker() -> None:
        meeting.wait(60)
        ended.append(1)

    Threads().run([worker] * 4)

    assert len(ended) == 4
    assert threading.active_count() == 1 or not [each for each in threading.enumerate() if "ThreadPool" in each.name]


def test_no_work_is_done_at_once() -> None:
    Threads().run([])


def test_a_failure_is_raised_when_all_have_ended() -> None:
    go, ended = threading.Event(), list[str]()

    def fails() -> None:
        go.set()
        raise ValueError("first")

    def lasts() -> None:
        go.wait(60)
        ended.append("lasted")

    with pytest.raises(ValueError, match="first"):
        Threads().run([fails, lasts])

    assert ended == ["lasted"]
