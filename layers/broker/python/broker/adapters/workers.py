"""Running workers concurrently: every worker has ended before the call returns.

No work outlives its invocation, so once the function's timeout has passed, the holder of a lease is certainly dead.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol


class WorkerPool(Protocol):
    """Runs workers side by side."""

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        """Run all, wait for all, then raise what the first of them raised."""


class Threads:
    """A thread for each worker."""

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        """Run all, wait for all, then raise what the first of them raised."""
        if not workers:
            return
        with ThreadPoolExecutor(max_workers=len(workers)) as pool:
            ended = [pool.submit(worker) for worker in workers]
        for each in ended:
            each.result()
