"""AWS and NinjaOne as processes of their own on loopback, so that their work is not counted as the broker's."""

import asyncio
import hashlib
import json
import multiprocessing
import secrets
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.benchmarks.bench.rows import CLIENT_ID, CLIENT_SECRET, seeded
from tests.benchmarks.bench.stored import Store, from_wire, to_wire
from tests.support.certificate import certified

Head = dict[bytes, bytes]
Answer = tuple[int, bytes]
WRAPPED = 184  # bytes of a data key as KMS wraps it


class Aws:
    """DynamoDB, KMS, Secrets Manager, SSM and SQS."""

    def __init__(self) -> None:
        self.store, self.keys, self.calls = Store(), dict[str, str](), Counter[str]()

    async def answer(self, head: Head, body: bytes) -> Answer:
        """Answer one request of botocore's."""
        if b"x-amz-target" not in head:
            return 200, b"<ListBucketResult></ListBucketResult>"
        service, _, operation = head[b"x-amz-target"].decode().partition(".")
        self.calls[f"{service.partition('_')[0]}.{operation}"] += 1
        try:
            return 200, json.dumps(self._done(service, operation, json.loads(body or b"{}")), default=to_wire).encode()
        except ClientError as error:
            refused: Any = error.response
            said = {
                "__type": refused["Error"]["Code"],
                "message": "",
                **({"Item": refused["Item"]} if "Item" in refused else {}),
            }
            return 400, json.dumps(said, default=to_wire).encode()

    def _done(self, service: str, operation: str, asked: dict[str, Any]) -> Any:
        if service == "Bench":
            return self._bench(operation, asked)
        if service.startswith("DynamoDB"):
            return self.store.answer(_snake(operation), from_wire(asked))
        return getattr(self, f"_{_snake(operation)}")(asked)

    def _bench(self, operation: str, asked: dict[str, Any]) -> Any:
        """What only the bench asks: put rows, move the schedule, tell and forget the counts."""
        if operation == "Seed":
            self.keys |= asked["keys"]
            for row in seeded(**asked["rows"]):
                self.store.rows.write(self.store.rows.key(row), row)
        self.store.rows.units.clear() if operation == "Seed" else None
        told = {"units": dict(self.store.rows.units), "calls": dict(self.calls)}
        if operation in {"Seed", "Reset"}:
            self.store.rows.units.clear()
            self.calls.clear()
        return told

    def _generate_data_key(self, _asked: dict[str, Any]) -> Any:
        wrapped, key = secrets.token_bytes(WRAPPED), secrets.token_bytes(32)
        self.keys[to_wire(wrapped)] = to_wire(key)
        return {"CiphertextBlob": wrapped, "Plaintext": key, "KeyId": "key"}

    def _decrypt(self, asked: dict[str, Any]) -> Any:
        return {"Plaintext": self.keys[asked["CiphertextBlob"]], "KeyId": "key"}

    def _get_secret_value(self, _asked: dict[str, Any]) -> Any:
        return {"SecretString": json.dumps({CLIENT_ID: CLIENT_SECRET})}

    def _get_parameter(self, _asked: dict[str, Any]) -> Any:
        return {"Parameter": {"Value": '{"epoch": 1, "table": "connections"}'}}

    def _get_queue_attributes(self, _asked: dict[str, Any]) -> Any:
        return {"Attributes": {"ApproximateNumberOfMessages": "0"}}

    def _send_message(self, asked: dict[str, Any]) -> Any:
        said = hashlib.md5(asked["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": "1", "MD5OfMessageBody": said}


LATE = 0.05  # seconds
DEVICES = json.dumps(
    [{"id": number, "systemName": f"PC-{number:04}", "offline": False} for number in range(20)]
).encode()


class NinjaOne:
    """The token endpoint, as slow as told; ``/down`` and ``/up`` switch it. Below ``/v2`` there are devices."""

    def __init__(self, delay: float) -> None:
        self.delay, self.is_down = delay, False

    async def answer(self, head: Head, _body: bytes) -> Answer:
        """Grant a new pair, late; or answer 503 as late while it is down."""
        path = head[b":path"]
        if path in {b"/down", b"/up"}:
            self.is_down = path == b"/down"
            return 200, b"{}"
        if path.startswith(b"/v2/"):
            await asyncio.sleep(LATE * path.startswith(b"/v2/late/"))
            return 200, DEVICES
        await asyncio.sleep(self.delay)
        if self.is_down:
            return 503, b"<html>"
        pair = {
            "access_token": secrets.token_urlsafe(32),
            "refresh_token": f"{secrets.token_hex(18)}.{secrets.token_urlsafe(32)}",
        }
        return 200, json.dumps(
            {**pair, "expires_in": 3600, "token_type": "Bearer", "scope": "monitoring management offline_access"}
        ).encode()


def _snake(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


async def _served(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[Head, bytes], Awaitable[Answer]]
) -> None:
    """Answer the requests of one connection, as long as it lasts."""
    try:
        while True:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            head = {name.lower(): held.strip() for name, _, held in (line.partition(b":") for line in lines if line)}
            head[b":path"] = first.split(b" ")[1]
            status, said = await answer(head, await reader.readexactly(int(head.get(b"content-length", 0))))
            writer.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(said))
                + said
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        writer.close()


def _serve(make: Callable[[], Aws | NinjaOne], context: tuple[str, str] | None, told: Any) -> None:
    part = make()

    async def serve() -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if context else None
        if tls and context:
            tls.load_cert_chain(*context)
        server = await asyncio.start_server(
            lambda r, w: _served(r, w, part.answer), "127.0.0.1", 0, ssl=tls, backlog=1024
        )
        told.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@dataclass(frozen=True)
class Cloud:
    """Where they are."""

    aws_url: str
    ninjaone_port: int
    authority: Path

    def seed(self, keys: dict[str, str], **rows: Any) -> None:
        """Put rows into the table, and forget the counts."""
        self._ask("Seed", {"keys": keys, "rows": rows})

    def counted(self, *, reset: bool = False) -> dict[str, Any]:
        """Tell units and calls since the last reset; what did not occur counts as none."""
        told: dict[str, Any] = self._ask("Reset" if reset else "Count", {})
        return told | {"units": Counter(told["units"])}

    def _ask(self, operation: str, body: dict[str, Any]) -> Any:
        import httpx

        answer = httpx.post(
            self.aws_url,
            headers={"x-amz-target": f"Bench.{operation}"},
            content=json.dumps(body),
            timeout=600,
            trust_env=False,
        )
        return answer.json()


@contextmanager
def cloud(folder: Path, *, delay: float) -> Iterator[Cloud]:
    """Start both, and end them."""
    certificate, key = certified(folder)
    spawn = multiprocessing.get_context("spawn")
    ports, parts = [], ((Aws, None), (partial(NinjaOne, delay), (str(certificate), str(key))))
    processes = []
    for part, context in parts:
        told: Any = spawn.Queue()
        process = spawn.Process(target=_serve, args=(part, context, told), daemon=True)
        process.start()
        processes.append(process)
        ports.append(told.get(timeout=60))
    try:
        yield Cloud(f"http://127.0.0.1:{ports[0]}", ports[1], certificate)
    finally:
        for process in processes:
            process.terminate()
            process.join(10)
