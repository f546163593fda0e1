"""The process that is killed: the handlers of `sweep` and `refresh`, over and over.

Says "ready", reads one line that says where it is, works. It keeps nothing: what it learns it writes to AWS,
as a Lambda function does, and everything else dies with it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from broker.adapters.clock import entropy
from broker.adapters.workers import Threads
from broker.config import Config
from broker.edge.wiring import Broker, Ports
from functions.refresh.app import handler as refresh
from functions.sweep.app import handler as sweep
from local.clock import Clock
from local.cloudformation.arns import REGION
from local.reroute import Reroute

MESSAGES = 50
"""Batches worked between two sweeps, at most."""


@dataclass(frozen=True)
class Instructions:
    """What the process is told.

    Attributes:
        environment: the variables of the refresh function
        offset: how far the clock that it shares with NinjaOne was moved, in seconds
        lines: the file that its log lines go to
        loops: after so many sweeps it ends by itself
    """

    environment: dict[str, str]
    aws: str
    ninjaone: str
    offset: float
    lines: str
    loops: int

    def text(self) -> str:
        """Write them as one line."""
        return json.dumps(asdict(self)) + "\n"


class Context:
    """What Lambda passes beside the event."""

    aws_request_id = "local"

    def __init__(self, timeout: int) -> None:
        self._deadline = time.monotonic() + timeout

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def work(instructions: Instructions) -> None:
    """Sweep and refresh."""
    client, config = _clients(instructions.aws), Config.from_env(instructions.environment)
    clock = Clock()
    clock.advance(instructions.offset)
    domains = ("ninjarmm.com", *config.branded_suffixes)
    ports = Ports(
        clock=clock,
        entropy=entropy,
        aws=client,
        transport=lambda: Reroute(instructions.ninjaone, domains, prefixed=True).transport,
        workers=Threads(),
        write=_lines(instructions.lines),
    )
    sweeping, refreshing = sweep.bind(Broker(config, ports)), refresh.bind(Broker(config, ports))
    for _ in range(instructions.loops):
        sweeping({}, Context(config.refresh_timeout))
        for message in _messages(client("sqs"), config.refresh_queue):
            record = {"messageId": message["MessageId"], "body": message["Body"]}
            if refreshing({"Records": [record]}, Context(config.refresh_timeout))["batchItemFailures"]:
                raise RuntimeError("a batch failed")
            client("sqs").delete_message(QueueUrl=config.refresh_queue, ReceiptHandle=message["ReceiptHandle"])


def _messages(sqs: Any, queue: str) -> Iterator[dict[str, Any]]:
    """Take batches one by one until none is visible."""
    for _ in range(MESSAGES):
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1).get("Messages", [])
        if not found:
            return
        yield from found


def _clients(url: str) -> Callable[[str], Any]:
    session: Any = boto3.Session("AKIAIOSFODNN7LOCAL", "not a secret", region_name=REGION)
    settings = ClientConfig(retries={"mode": "standard", "max_attempts": 2}, max_pool_connections=64)

    @cache
    def client(service: str) -> Any:
        return session.client(service, endpoint_url=url, config=settings)

    return client


def _lines(path: str) -> Callable[[str], None]:
    """Write each line past all buffers: what was said before a kill stays said."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(line: str) -> None:
        os.write(file, line.encode() + b"\n")

    return write


def said(path: Path) -> list[dict[str, Any]]:
    """Read what a process wrote."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


if __name__ == "__main__":
    print("ready", flush=True)
    work(Instructions(**json.loads(sys.stdin.readline())))
