"""An event loop of its own for a test: the browser tests of the same process keep one running in this thread."""

import asyncio
from collections.abc import Awaitable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it in another thread, as `asyncio.run` would in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def run_on(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
    """Run this loop, in another thread too, until the awaitable is done."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(loop.run_until_complete, awaitable).result()
