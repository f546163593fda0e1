"""The command line as its user runs it, in a folder where the local world has put its handle."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlencode, urlsplit

from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.model import ConnectionRef, ConnectionState, TenantId, connection_id
from local.world import World
from ninjaone_connect_cli.app import main
from ninjaone_emulator.seed import OPERATOR_APPS

ROOT = Path(__file__).parents[2]
HOST = "eu.ninjarmm.com"
ADA = "ada@nordlicht.example"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """`ninjaone-connect`, run from a folder."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, typed: str = "", stdin: Callable[[StringIO], Any] | None = None) -> Ended:
        """Run a command inside this process: a start takes a second, and there are many.

        Args:
            stdin: makes the standard input of somebody who answers what standard error says
        """
        out, err = StringIO(), StringIO()
        with (
            chdir(self.folder),
            patch.dict(os.environ, self.environment, clear=True),
            patch.object(sys, "argv", ["ninjaone-connect", *arguments]),
            patch.object(sys, "stdin", stdin(err) if stdin else StringIO(typed)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                return Ended(int(end.code or 0), out.getvalue(), err.getvalue())
        raise AssertionError("main always exits")

    def process(self, *arguments: str) -> Ended:
        """Run a command as its user does."""
        command = [sys.executable, "-m", "ninjaone_connect_cli", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def local(self, *arguments: str) -> Ended:
        """Run against the local world, for a machine."""
        return self("--local", "--json", *arguments)


def bare_environment() -> dict[str, str]:
    """An environment with the code, and without anybody's AWS login."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "NINJAONE_"))}
    hosts = ("layers/broker/python", "clients/python/src", "cli/src")
    return kept | {"PYTHONPATH": ":".join(str(ROOT / host) for host in hosts), "NO_COLOR": "1"}


def granted(world: World) -> str:
    """Let Ada agree once more, and give the refresh token: what another system would hold."""
    app, redirect = OPERATOR_APPS["eu"], f"{world.connect_url}/callback/eu"
    asked = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": redirect,
        "scope": "monitoring management offline_access",
        "state": "x",
    }
    reply = world.ninjaone.consent(HOST, ADA, urlencode(asked))
    (code,) = parse_qs(urlsplit(reply.header("Location") or "").query)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "client_id": app.client_id,
        "client_secret": app.client_secret,
    }
    answer = json.loads(world.ninjaone.token(HOST, {}, form).body)
    return str(answer["refresh_token"])


def state_rows(world: World, table: str | None = None) -> dict[ConnectionRef, ConnectionState]:
    """Read every connection as it is stored."""
    pages = world.aws("dynamodb").get_paginator("scan").paginate(
        TableName=table or world.settings("refresh")["CONNECTIONS_TABLE"], ConsistentRead=True
    )  # fmt: skip
    found = [
        rows.connection_state(item)
        for page in pages
        for item in page["Items"]
        if connection_id(item["connection"]["S"])
    ]
    return {ConnectionRef(TenantId(row.tenant), row.connection): row for row in found}


def csv_of(folder: Path, lines: list[dict[str, str]]) -> Path:
    """Write a file to import."""
    file = folder / "tokens.csv"
    names = list(lines[0])
    text = [",".join(names), *(",".join(line.get(name, "") for name in names) for line in lines)]
    file.write_text("\n".join(text) + "\n")
    return file


def put_rescued(world: World, key: str) -> None:
    """Put sealed tokens where a refresh puts what DynamoDB refused."""
    from broker.adapters.rescue import RescueStore, SealedTokens
    from broker.adapters.seal import Seal
    from broker.config import Config
    from broker.model import ConnectionId, Instant, Purpose, TenantId
    from broker.secret import Secret

    _, tenant, connection, version = key.split("/")
    config = Config.from_env(world.settings("refresh"))
    seal = Seal(AwsClient("kms", world.aws("kms")), config.seal_key, world.clock, lambda size: b"n" * size)
    spot = ConnectionRef(TenantId(tenant), ConnectionId(connection)).aad(int(version) + 1)
    now = int(world.clock.now())
    rescued = SealedTokens(
        access=seal.seal(seal.data_key(Purpose.ACCESS), Secret("rescued-access"), spot),
        refresh=seal.seal(seal.data_key(Purpose.REFRESH), Secret("rescued-refresh"), spot),
        expires_at=Instant(now + 3600),
        scopes=frozenset({"monitoring", "management", "offline_access"}),
        sent_at=Instant(now),
    )
    ref = ConnectionRef(TenantId(tenant), ConnectionId(connection))
    RescueStore(AwsClient("s3", world.aws("s3")), config.rescue_bucket).put(ref, int(version), rescued)


def write(world: World, ref: ConnectionRef, **attributes: Any) -> None:
    """Write into a row by hand."""
    for name, thing in attributes.items():
        world.aws("dynamodb").update_item(
            TableName=world.settings("refresh")["CONNECTIONS_TABLE"],
            Key=rows.key(ref.tenant, ref.connection),
            UpdateExpression="SET #name = :thing",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":thing": rows.value(thing)},
        )
