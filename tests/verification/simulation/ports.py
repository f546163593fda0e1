"""The doors of one execution environment: every call yields to the world, which may do as it likes.

Nothing here acts for a dead process: each door raises Killed, so that a `finally` block of a killed
invocation has no effect, as after SIGKILL.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ReadTimeoutError
from greenlet import getcurrent

from broker import policy
from tests.verification.simulation.aws import Exceptions, error
from tests.verification.simulation.scheduler import Killed, Process

if TYPE_CHECKING:
    from tests.verification.simulation.world import Instance, World

LATENCY = 0.02  # seconds a healthy call takes at most
PATIENCE = float(policy.AWS_CALL)  # seconds an AWS client waits in all
SLOW = PATIENCE - 1  # seconds of a call that just makes it
FOREVER = 3600.0  # longer than any invocation lives
LATE = 2.0  # seconds within which AWS still carries out what a dead process had sent

THROTTLES = {
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "kms": ("ThrottlingException", 400),
    "s3": ("SlowDown", 503),
    "sqs": ("RequestThrottled", 403),
    "secretsmanager": ("ThrottlingException", 400),
    "ssm": ("ThrottlingException", 400),
    "events": ("ThrottlingException", 400),
}


class Clock:
    """The clock of one host: off by its skew."""

    def __init__(self, world: "World", instance: "Instance") -> None:
        self.world, self.instance = world, instance

    def now(self) -> float:
        living(self.world)
        return self.world.scheduler.now + self.instance.skew

    def sleep(self, seconds: float) -> None:
        living(self.world)
        self.world.scheduler.wait(max(seconds, 0.0))


class Client:
    """A boto3 client as the handler sees it: the calls of a service in memory, made unreliable."""

    exceptions = Exceptions()

    def __init__(self, world: "World", instance: "Instance", service: str) -> None:
        self._world, self._instance, self._service = world, instance, service

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_"):
            raise AttributeError(operation)
        effect = getattr(self._world.services[self._service], operation)

        def call(**parameters: Any) -> Any:
            instants: list[int] = []
            caller = self._world.scheduler.process  # it may be dead when its request is carried out

            def carried_out() -> Any:
                instants.append(self._world.trace.instant())
                answer = effect(**parameters)
                if self._instance.function == "refresh":
                    self._world.trace.carried_out(caller, operation, parameters, answer, at=instants[-1])
                return answer

            try:
                answer = self._call(operation, carried_out, parameters)
            except (ClientError, BotoCoreError) as failure:
                self._heard(operation, parameters, failure, instants)
                raise
            self._heard(operation, parameters, answer, instants)
            return answer

        self.__dict__[operation] = call
        return call

    def _heard(self, operation: str, parameters: dict[str, Any], answer: Any, instants: list[int]) -> None:
        if self._instance.function == "refresh" and self._service in {"dynamodb", "s3"}:
            trace = self._world.trace
            at = instants[0] if instants else trace.instant()
            trace.heard(self._world.scheduler.process, operation, parameters, answer, at=at)

    def _call(self, operation: str, effect: Callable[[], Any], parameters: dict[str, Any]) -> Any:
        world = self._world
        process = living(world)
        kind = world.meet(self._instance, self._service, operation)
        if operation == "query" and _is_ill(world, parameters):
            kind = "throttled"
        world.history.asked(process, self._service, operation, parameters, kind)
        if kind:
            return self._suffer(kind, operation, effect)
        return done(world, effect, LATENCY, LATE)

    def _suffer(self, kind: str, operation: str, effect: Callable[[], Any]) -> Any:
        """Go through one fault of AWS_FAULTS."""
        world = self._world
        if kind == "killed_before":
            raise world.kill_current()
        if kind == "slow":
            world.scheduler.wait(SLOW)
            return done(world, effect, LATENCY, LATE)
        if kind in {"lost_ack", "retried", "killed_after"}:
            return self._done_unseen(kind, effect)
        world.scheduler.wait({"timed_out": PATIENCE, "hangs": FOREVER, "unreachable": 4.0}.get(kind, LATENCY))
        if kind == "throttled":
            code, status = THROTTLES[self._service]
            raise error(code, operation, status=status)
        if kind == "denied":
            raise error("AccessDeniedException", operation)
        if kind == "refused":
            raise error("InternalServerError", operation, status=500)
        raise (EndpointConnectionError if kind == "unreachable" else ReadTimeoutError)(endpoint_url="https://aws")

    def _done_unseen(self, kind: str, effect: Callable[[], Any]) -> Any:
        world = self._world
        with suppress(ClientError):
            done(world, effect, LATENCY, LATE)
        if kind == "killed_after":
            raise world.kill_current()
        if kind == "retried":
            return self._again(effect)
        world.scheduler.wait(PATIENCE)
        raise ReadTimeoutError(endpoint_url="https://aws")

    def _again(self, effect: Callable[[], Any]) -> Any:
        """Let the SDK repeat a write that was done: its condition may have been changed by itself."""
        try:
            return done(self._world, effect, LATENCY + 1.0, LATE)
        except ClientError as failure:
            if failure.response["Error"]["Code"] == "ConditionalCheckFailedException":
                self._world.history.reached[f"{self._instance.function} met its own write"] += 1
            raise


def _is_ill(world: "World", parameters: dict[str, Any]) -> bool:
    """Say whether a query asks the partition of the due index that is throttled."""
    shard = parameters.get("ExpressionAttributeValues", {}).get(":shard", {})
    return bool(world.ill_shard) and shard.get("N", shard.get("S")) == world.ill_shard


class WorkerPool:
    """Runs workers side by side as greenlets; all have ended when it returns."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        scheduler = self.world.scheduler
        process = living(self.world)
        failures: list[Exception | None] = [None] * len(workers)
        left = len(workers)
        wake = scheduler.park()

        def begin(host: int, worker: Callable[[], None]) -> None:
            nonlocal left
            try:
                worker()
            except Exception as failure:  # noqa: BLE001 (whatever a worker raises is raised again, by the pool)
                failures[host] = failure
            left -= 1
            if not left:
                wake()

        for host, worker in enumerate(workers):
            scheduler.spawn(process, lambda host=host, worker=worker: begin(host, worker))  # type: ignore[misc]  # binds the loop's pair
        if workers:
            scheduler.leave()
        for failure in failures:
            if failure is not None:
                raise failure


def living(world: "World") -> Process:
    """Return the process that acts. Raises Killed."""
    process = world.scheduler.process
    if process.dead:
        raise Killed
    return process


def done(world: "World", effect: Callable[[], Any], latency: float, late: float) -> Any:
    """Send a request, let it be carried out, wait for its answer.

    Args:
        late: seconds within which it may still be carried out when its sender dies meanwhile
    """
    process, task = living(world), getcurrent()
    process.inflight[task] = (effect, late)
    world.scheduler.wait(world.plan.delay(latency))
    del process.inflight[task]
    answer = effect()
    if world.plan.chance(0.2):
        world.scheduler.wait(world.plan.delay(latency))
    return answer
