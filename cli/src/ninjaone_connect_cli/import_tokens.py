"""Import: refresh tokens of another system become connections, each whole or not at all.

A connection's id follows from its tenant and key, so that the same file can be imported again: what is there
already is left as it is, and what was missed comes in. Nothing is asked of NinjaOne here: the rows are due at once.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import click

from broker import policy
from broker.adapters.clock import SystemClock, instant
from broker.adapters.seal import Seal
from broker.errors import Busy, Misconfigured
from broker.model import ConnectionState, Instant, Profile, Purpose, Status
from ninjaone_connect_cli.at import At, here
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.import_file import Entry, EntryError, read
from ninjaone_connect_cli.store import Store

COLUMNS = {"line": "line", "tenant_id": "tenant", "connection_id": "connection", "outcome": "outcome"}
SHOWN = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything and write nothing.")
@click.option(
    "--report", type=click.File("w"), help="Write what became of each line, as JSON lines, without any token."
)
@here
def import_tokens(at: At, file: Path, report: TextIO | None, *, dry_run: bool) -> None:
    """Bring refresh tokens from another system: a CSV FILE with a heading, or JSON lines.

    \b
    tenant_id      your own name of the customer
    refresh_token
    region         app, us2, eu, ca, oc, jp, fed; or host, such as acme.rmmservice.eu
    key            what the other system calls this connection (only where a tenant has several)
    client_id      the NinjaOne client app; by default yours of that region
    client_secret  only where the app is the customer's own
    scopes         by default what this deployment asks for
    label, consented_at (Unix seconds)

    The other system must not refresh these tokens any more: NinjaOne may end a grant whose old token is used again.
    """
    entries = _checked(at.deployment, file)
    if report:
        report.write("")  # what can't be written is known before anything is stored
    made = _Made(at.deployment)
    if dry_run:
        _show(at, [made.look(entry) for entry in entries], report)
        return
    results: list[dict[str, Any]] = []
    try:
        with at.screen.steps("Importing", len(entries)) as step:
            for entry in entries:
                results.append(made.put(entry))
                step()
    finally:  # whatever stopped it: what was stored is told
        _show(at, results, report)
    if any(result["outcome"] == "failed" for result in results):
        raise CliError("AWS refused some of them. Nothing of those was stored; the same command brings them in.")


def _checked(deployment: Deployment, file: Path) -> list[Entry]:
    """Read the whole file; one faulty line stops everything before anything is written."""
    try:
        entries = read(file, deployment.config)
    except EntryError as faulty:
        more = f"\n… and {len(faulty.faults) - SHOWN} more" if len(faulty.faults) > SHOWN else ""
        raise CliError(
            "Nothing was imported. Correct these lines:\n" + "\n".join(faulty.faults[:SHOWN]) + more
        ) from None
    _check_secrets(deployment, {entry.client_id for entry in entries if entry.client_secret is None})
    return entries


def _check_secrets(deployment: Deployment, client_ids: Iterable[str]) -> None:
    """Refuse tokens that could not be refreshed for want of a secret."""
    credentials = deployment.client_secrets
    for client_id in sorted(client_ids):
        try:
            credentials.client(client_id)
        except Misconfigured:
            raise CliError(
                f"Nothing was imported. No secret is stored for the client id {client_id}: "
                "store it first, or give client_secret where the app is the customer's own."
            ) from None


class _Made:
    """Makes connections of entries."""

    def __init__(self, deployment: Deployment) -> None:
        self._store = Store(deployment.aws("dynamodb"), deployment.config.connections_table)
        self._seal: Seal = deployment.seal
        epoch = deployment.epoch.active()
        if epoch is None:
            raise CliError("The table is not activated: see `ninjaone-connect epoch show`.")
        self._epoch = epoch

    def look(self, entry: Entry) -> dict[str, Any]:
        """Say what would become of an entry."""
        there = self._store.row(entry.ref) is not None
        return _result(entry, "there already" if there else "would be imported")

    def put(self, entry: Entry) -> dict[str, Any]:
        """Store an entry's connection, unless it is there."""
        try:
            stored = self._store.make(*self._rows(entry))
        except Busy:
            return _result(entry, "failed")
        return _result(entry, "imported" if stored else "there already")

    def _rows(self, entry: Entry) -> tuple[ConnectionState, Profile]:
        now, ref = instant(SystemClock()), entry.ref
        aad = ref.aad(1)
        state = ConnectionState(
            tenant=ref.tenant,
            connection=ref.connection,
            status=Status.ACTIVE,
            host=entry.host,
            client_id=entry.client_id,
            customer_app=entry.client_secret is not None,
            version=1,
            fence=0,
            epoch=self._epoch,
            token_expires_at=now,
            sent_at=Instant(0),
            consented_at=entry.consented_at or now,
            scopes=entry.scopes,
            refresh=self._seal.seal(self._seal.data_key(Purpose.REFRESH), entry.refresh_token, aad),
            refresh_at=now,
            due_shard=policy.shard(ref.connection),
        )
        profile = Profile(ref.tenant, ref.connection, entry.label, (), {}, now, now, self._client(entry))
        return state, profile

    def _client(self, entry: Entry) -> bytes | None:
        if entry.client_secret is None:
            return None
        aad = entry.ref.aad()
        return self._seal.seal(self._seal.data_key(Purpose.CLIENT), entry.client_secret, aad)


def _result(entry: Entry, outcome: str) -> dict[str, Any]:
    return {
        "line": entry.line,
        "tenant_id": entry.ref.tenant,
        "connection_id": entry.ref.connection,
        "outcome": outcome,
    }


def _show(at: At, results: list[dict[str, Any]], report: TextIO | None) -> None:
    if report:
        report.writelines(json.dumps(result) + "\n" for result in results)
    if at.screen.as_json:
        at.screen.table(results, COLUMNS, empty="")
        return
    at.screen.table(results[:SHOWN], COLUMNS, empty="The file holds no line.")
    if len(results) > SHOWN:
        at.screen.say(f"… and {len(results) - SHOWN} more; --report writes all of them.")
    at.screen.record(Counter(result["outcome"] for result in results))


COMMANDS = (import_tokens,)
