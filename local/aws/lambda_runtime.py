"""A Lambda function as its platform runs it: one call per environment, a deadline, a limit of calls."""

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from local.cloudformation.resources import Function

Entry = Callable[[dict[str, Any], "Context"], Any]
"""A function's handler in an environment of its own."""


PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of an event, and of an answer: a body in them is escaped as JSON has it, or in base64. Not adjustable."""


class Failed(Exception):
    """The function raised, returned something that is not JSON, or exceeded its timeout."""


class Throttled(Exception):
    """The function is at its limit of concurrent calls."""


class TooLarge(Exception):
    """The event or the answer is larger than Lambda allows."""


class ExitError(Exception):
    """The process ended in the middle of a call. Lambda calls it the same."""


class GaveUp(Exception):
    """The caller stopped waiting; the function goes on."""


def _passed(value: Any) -> str:
    """Write what is passed as JSON. Raises TooLarge."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text.encode("utf-8", "surrogatepass")) > PAYLOAD_LIMIT:
        raise TooLarge
    return text


class Pool:
    """The executions of an account that are not reserved for one function."""

    def __init__(self, size: float = math.inf) -> None:
        self._left, self._lock = size, Lock()

    def take(self) -> None:
        """Acquire an execution. Raises Throttled."""
        with self._lock:
            if self._left < 1:
                raise Throttled("the account has no execution left")
            self._left -= 1

    def give(self) -> None:
        """Release an execution."""
        with self._lock:
            self._left += 1


class Context:
    """What Lambda passes beside the event."""

    function_version = "$LATEST"

    def __init__(self, function: Function) -> None:
        self.aws_request_id = str(uuid4())
        self.function_name = function.name
        self.invoked_function_arn = function.arn
        self.memory_limit_in_mb = str(function.memory)
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = "local"
        self._deadline = time.monotonic() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class Runtime:
    """One function, with as many environments as were needed at the same time."""

    def __init__(
        self,
        function: Function,
        start: Callable[[], Entry],
        tell: Callable[[str, str], None] = lambda *_: None,
        pool: Pool | None = None,
    ) -> None:
        """Store the function.

        Args:
            start: makes the handler of a new environment
            tell: called for each failure with the function's folder and a description
            pool: the executions that it shares with others, unless it has reserved ones
        """
        self.function = function
        self._start, self._tell = start, tell
        self._pool = pool if pool and function.concurrency is None else Pool()
        self._idle: list[Entry] = []
        self._busy = 0
        self._lock = Lock()

    def invoke(self, event: dict[str, Any], patience: float = float("inf")) -> Any:
        """Call the function and wait for its answer; event and answer pass as JSON.

        A thread can't be killed: a call that exceeded its timeout occupies its environment until it ends by itself.

        Args:
            patience: seconds after which the caller stops waiting

        Raises:
            TooLarge, Failed, Throttled, GaveUp
        """
        try:
            return self._invoke(event, patience)
        except (TooLarge, Failed, Throttled, GaveUp) as error:
            self._tell(self.function.folder, f"{type(error).__name__}: {error}")
            raise

    def _invoke(self, event: dict[str, Any], patience: float) -> Any:
        text = _passed(event)
        entry = self._take()
        answer: Future[str] = Future()
        Thread(target=self._run, args=(entry, text, answer), daemon=True).start()
        limit = self.function.timeout
        try:
            return json.loads(answer.result(min(limit, patience)))
        except TimeoutError as error:
            if not answer.done():
                raise (
                    GaveUp(f"after {patience} s") if patience < limit else Failed(f"timed out after {limit} s")
                ) from error
            raise Failed("TimeoutError") from error
        except Exception as error:
            raise Failed(type(error).__name__) from error

    def _take(self) -> Entry:
        self._pool.take()
        with self._lock:
            if self.function.concurrency is not None and self._busy >= self.function.concurrency:
                raise Throttled(f"{self._busy} calls at once")
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _run(self, entry: Entry, event: str, answer: Future[str]) -> None:
        survives = True
        try:
            answer.set_result(_passed(entry(json.loads(event), Context(self.function))))
        except BaseException as error:  # noqa: BLE001 - the platform reports whatever a function raises
            survives = isinstance(error, Exception)  # anything else ends the process, and with it the environment
            answer.set_exception(error if survives else ExitError())
        finally:
            self._pool.give()
            with self._lock:
                self._busy -= 1
                if survives:
                    self._idle.append(entry)
