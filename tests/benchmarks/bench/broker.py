"""The broker as a function has it, towards a cloud on loopback; and the same calls made bare."""

import os
import pathlib
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx

from broker.adapters.queues import RefreshBatch, Trigger
from broker.config import Config
from broker.edge import wiring
from broker.edge.wiring import Broker, Ports
from broker.model import ConnectionRef
from tests.benchmarks.bench.cloud import Cloud
from tests.benchmarks.bench.rows import named
from tests.verification.simulation.world import environment

KEY, WRAPPED = bytes(32), bytes(184)


class Nearby(httpx.HTTPTransport):
    """TLS to loopback, whatever host was meant."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        super().__init__(verify=context, trust_env=False)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return super().handle_request(request)


def trusting(cloud: Cloud) -> ssl.SSLContext:
    """Trust the cloud's own certificate alone."""
    return ssl.create_default_context(cafile=str(cloud.authority))


def ports(cloud: Cloud) -> Ports:
    """The doors of a function, but for where they lead; lines are written to nowhere."""
    os.environ |= {
        "AWS_ENDPOINT_URL": cloud.aws_url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    nowhere = pathlib.Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process
    context = trusting(cloud)
    return replace(
        wiring._ports(),
        transport=lambda: lambda: Nearby(context, cloud.ninjaone_port),
        write=lambda line: print(line, file=nowhere),
    )


def broker(at: Ports, **settings: str) -> Broker:
    """A fresh execution environment: no data key, secret or epoch is held; lines are those that Lambda asks for."""
    return Broker(
        Config.from_env(environment(CLIENT_IDS="eu=" + "c" * 27, AWS_LAMBDA_LOG_LEVEL="INFO", **settings)), at
    )


def seed(cloud: Cloud, *, stored: int, due: int) -> None:
    """Store connections of which some are due."""
    wrapped, key = (b64encode(each).decode() for each in (WRAPPED, KEY))
    cloud.seed({wrapped: key}, stored=stored, due=due, now=int(time.time()), wrapped=wrapped, key=key)


def batches(due: int, size: int) -> list[RefreshBatch]:
    """Order the due ones."""
    refs = [ConnectionRef(*named(number)) for number in range(due)]
    return [RefreshBatch(Trigger.DUE, tuple(refs[start : start + size])) for start in range(0, due, size)]


def left() -> float:
    """An invocation with all its time."""
    return 180.0


@contextmanager
def measured() -> Iterator[Callable[[], tuple[float, float]]]:
    """Measure seconds that passed, and seconds of processor that this process took."""
    began = time.perf_counter(), time.process_time()
    ended: list[float] = []
    yield lambda: (ended[0], ended[1])
    ended += [time.perf_counter() - began[0], time.process_time() - began[1]]
