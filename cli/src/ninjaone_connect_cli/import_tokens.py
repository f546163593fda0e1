"""Import: refresh tokens of another system become connections, each whole or not at all.

A connection's id follows from its tenant and key, so that the same file can be imported again: connections that work
are left alone, missing ones are added, and those that NinjaOne has not refreshed yet are overwritten, so that a
corrected file takes effect. NinjaOne is not called here: the rows are due at once.
"""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import click

from broker import ninjaone, policy
from broker.adapters.clock import SystemClock, instant
from broker.adapters.seal import Seal
from broker.errors import AwsUnavailable, Misconfigured
from broker.model import ConnectionState, Instant, Profile, Purpose, Reason, Status
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.import_file import Entry, EntryError, read
from ninjaone_connect_cli.store import Store

_IMPORTED_STATUSES = (Status.ACTIVE, Status.NEEDS_REAUTH)
COLUMNS = {"line": "line", "tenant_id": "tenant", "connection_id": "connection", "outcome": "outcome"}
SHOWN = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything and write nothing.")
@click.option(
    "--report",
    type=click.File("w", encoding="utf-8"),
    help="Write what became of each line, as JSON lines, without any token.",
)
@pass_cli
def import_tokens(cli: CliContext, file: Path, report: TextIO | None, *, dry_run: bool) -> None:
    """Import refresh tokens from another system: a CSV FILE with a heading, or JSON.

    \b
    tenant_id      your own name of the customer
    refresh_token
    region         app, us2, eu, ca, oc, jp or fed; or instead of it:
    host           an address of the customer's own, acme.rmmservice.eu
    key            the other system's name of this connection, needed only
                   where a tenant has several
    client_id      the NinjaOne client app; by default yours of that region
    client_secret  only where the app is the customer's own
    scopes         by default what NinjaOne grants
    label          what the customer calls it, in up to 80 characters
    consented_at   Unix seconds, or a date such as 2026-11-23T14:00:00Z

    Importing again is safe: a corrected file corrects what does not work yet.

    The other system must not refresh these tokens any more: NinjaOne may end a grant whose old token is used again.

    \b
    ninjaone-connect import tokens.csv --dry-run
    ninjaone-connect import tokens.csv --report report.jsonl
    """
    _check_report(file, report)
    entries = _checked(cli.deployment, file)
    if report:
        report.write("")  # what can't be written is known before anything is stored
    importer = _Importer(cli.deployment)
    if dry_run:
        _show(cli, [importer.preview(entry) for entry in entries], report)
        return
    results: list[dict[str, Any]] = []
    try:
        with cli.screen.steps("Importing", len(entries)) as step:
            for entry in entries:
                results.append(importer.put(entry))
                step()
    finally:  # whatever stopped it: what was stored is told
        _show(cli, results, report)
    if any(result["outcome"] == "failed" for result in results):
        raise CliError("AWS refused some of them. Nothing of those was stored; the same command brings them in.")


def _check_report(file: Path, report: TextIO | None) -> None:
    """Refuse a report that would be written over the file, which may hold the only copy of the tokens."""
    name = Path(getattr(report, "name", ""))
    if report and name.exists() and name.samefile(file):
        raise CliError("Nothing was imported. The report would be written over the file with the tokens: name another.")


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
    """Refuse tokens that could not be refreshed because no client secret is stored."""
    credentials = deployment.client_secrets
    for client_id in sorted(client_ids):
        try:
            credentials.client(client_id)
        except Misconfigured:
            raise CliError(
                f"Nothing was imported. No secret is stored for the client id {client_id}: "
                "store it first, or give client_secret where the app is the customer's own."
            ) from None


class _Importer:
    """Makes connections of entries."""

    def __init__(self, deployment: Deployment) -> None:
        self._store = Store(deployment.aws("dynamodb"), deployment.config.connections_table)
        self._seal: Seal = deployment.seal
        epoch = deployment.epoch.active()
        if epoch is None:
            raise CliError("The table is not activated: see `ninjaone-connect epoch show`.")
        self._epoch = epoch

    def preview(self, entry: Entry) -> dict[str, Any]:
        """Return what would become of an entry."""
        stored = self._store.row(entry.ref)
        if stored is None:
            return _result(entry, "would be imported")
        may_correct = stored.state and (_has_withdrawn_scopes(stored.state, entry) or _was_never_granted(stored.state))
        corrects = bool(may_correct and stored.state and self._differs(stored.state, entry))
        return _result(entry, "would be corrected" if corrects else "there already")

    def put(self, entry: Entry) -> dict[str, Any]:
        """Store an entry's connection; where it is there, correct what an earlier file made wrong."""
        try:
            outcome = "imported" if self._store.make(*self._rows(entry)) else self._correct(entry)
        except AwsUnavailable:
            outcome = "failed"
        return _result(entry, outcome)

    def _correct(self, entry: Entry) -> str:
        """Overwrite a row that was never refreshed; correct the scopes of one that an earlier file got wrong.

        Nothing can be lost: before the first refresh, the file holds the only token there is. A refresh that is at work
        holds the lease, and then the row is left alone.
        """
        row = self._store.row(entry.ref)
        seen = row.state if row else None
        if row is None or seen is None:
            return "there already"
        if _has_withdrawn_scopes(seen, entry):
            change = {"scopes": ninjaone.scope_text(entry.scopes), **_due(entry)}
            return "corrected" if self._store.change(row, change, same=("version", "fence")) else "there already"
        if not _was_never_granted(seen):
            return "there already"
        state, profile = self._rows(entry)
        differs = self._differs(seen, entry)
        fresh = replace(state, fence=seen.fence + 1, outcome_unknown=seen.outcome_unknown)
        return "corrected" if self._store.replace(row, fresh, profile) and differs else "there already"

    def _differs(self, seen: ConnectionState, entry: Entry) -> bool:
        """Return whether the file brings anything new; after a failure its token or secret may be new, unseen."""
        profile = self._store.profile(entry.ref)
        return (
            seen.tried_at is not None
            or (profile.label if profile else None) != entry.label
            or (seen.host, seen.client_id, seen.customer_app)
            != (entry.host, entry.client_id, bool(entry.client_secret))
            or seen.scopes != entry.scopes
        )

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
            **_due(entry),
        )
        profile = Profile(ref.tenant, ref.connection, entry.label, (), {}, now, now, self._client(entry))
        return state, profile

    def _client(self, entry: Entry) -> bytes | None:
        if entry.client_secret is None:
            return None
        aad = entry.ref.aad()
        return self._seal.seal(self._seal.data_key(Purpose.CLIENT), entry.client_secret, aad)


def _due(entry: Entry) -> dict[str, Any]:
    """Return the attributes that make a row due at once."""
    return {"refresh_at": instant(SystemClock()), "due_shard": policy.shard(entry.ref.connection)}


def _was_never_granted(seen: ConnectionState) -> bool:
    """Return whether a row still holds what an import put there, and nobody is at work on it."""
    is_leased = seen.lease_until is not None and seen.lease_until > instant(SystemClock())
    return seen.version == 1 and seen.access is None and seen.status in _IMPORTED_STATUSES and not is_leased


def _has_withdrawn_scopes(seen: ConnectionState, entry: Entry) -> bool:
    """Return whether a row lacks scopes that an earlier file claimed for it, and this one does not."""
    return seen.reason is Reason.SCOPE_WITHDRAWN and seen.scopes != entry.scopes


def _result(entry: Entry, outcome: str) -> dict[str, Any]:
    return {
        "line": entry.line,
        "tenant_id": entry.ref.tenant,
        "connection_id": entry.ref.connection,
        "outcome": outcome,
    }


def _show(cli: CliContext, results: list[dict[str, Any]], report: TextIO | None) -> None:
    """Show what became of each line, also where the report can't be written."""
    try:
        if report:
            _write(report, results)
    finally:
        _tell(cli, results)


def _write(report: TextIO, results: list[dict[str, Any]]) -> None:
    try:
        report.writelines(json.dumps(result) + "\n" for result in results)
        report.flush()
    except OSError as error:
        with suppress(OSError):
            report.close()  # now: what is left to be written would fail again at the end
        raise CliError(f"The report could not be written: {error.strerror}. What was done is shown.") from None


def _tell(cli: CliContext, results: list[dict[str, Any]]) -> None:
    if cli.screen.as_json:
        cli.screen.table(results, COLUMNS, empty="")
        return
    cli.screen.table(results[:SHOWN], COLUMNS, empty="The file holds no line.")
    if len(results) > SHOWN:
        cli.screen.say(f"… and {len(results) - SHOWN} more; --report writes all of them.")
    cli.screen.record(Counter(result["outcome"] for result in results))


COMMANDS = (import_tokens,)
