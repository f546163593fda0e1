"""The backend API from the command line: sessions, connections, tokens."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import click

from broker import ninjaone, policy
from broker.errors import BrokerError
from broker.flows.client_apps import revoke
from broker.model import ConnectionRef, Purpose, Status, connection_id
from broker.text import escaped, words
from ninjaone_connect import Connect, ConnectError, Connection, new_verifier
from ninjaone_connect.model import ConnectSession, Region
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.group import Commands
from ninjaone_connect_cli.inventory import Inventory
from ninjaone_connect_cli.names import CONNECTION, TENANT
from ninjaone_connect_cli.question import before_anything, confirm
from ninjaone_connect_cli.store import Row, Store

COLUMNS = {
    "connection_id": "connection",
    "status": "status",
    "reason": "reason",
    "consent_ends_at": "consent ends",
    "label": "label",
    "region": "region",
    "refresh_at": "next refresh",
    "organizations": "organizations",
}
STATUSES = [*(each.value for each in Status), "paused"]
REVOKE_WAITS = (1.0, 3.0)
"""Seconds before each further try of a revocation."""

TICKET = re.compile(r"[A-Za-z0-9_-]{43}")
"""A ticket that is cut off would end the session in vain."""
ENDED_COLUMNS = {"tenant_id": "tenant", "connection_id": "connection", "outcome": "outcome"}
REVOKED, NOT_CONFIRMED = "revoked", "ended, NinjaOne did not confirm the revocation"


@click.group(cls=Commands)
def session() -> None:
    """Open connect sessions by hand."""


@session.command("open")
@click.argument("tenant", type=TENANT)
@click.option("--name", required=True, help="The name by which the hosted page calls this customer.")
@click.option("--return-to", help="The key of the address people come back to; by default the first one.")
@click.option("--user", default="operator", show_default=True, help="Your own name of the person who will connect.")
@click.option("--reconnect", type=CONNECTION, metavar="CONNECTION",
              help="A connection that gets new tokens and keeps its id.")  # fmt: skip
@click.option("--new-secret", type=CONNECTION, metavar="CONNECTION",
              help="A connection whose customer changed their own client app's secret: asks for it.")  # fmt: skip
@click.option(
    "--ninjaone-region", type=click.Choice([*ninjaone.REGIONS]), help="The region of NinjaOne, if you know it."
)
@click.option("--complete", is_flag=True,
              help="Complete the session here too, to try a deployment without a product: agree at NinjaOne, and paste "
                   "the address that the browser ends at.")  # fmt: skip
@pass_cli
def open_session(  # one for each option
    cli: CliContext, tenant: str, *, name: str, return_to: str | None, user: str, reconnect: str | None,
    new_secret: str | None, ninjaone_region: str | None, complete: bool,
) -> None:  # fmt: skip
    """Open a connect session for TENANT and show the link.

    The person who follows it comes back to your product, which has to complete it with the verifier shown here.

    \b
    ninjaone-connect session open trial --name Trial --complete
    ninjaone-connect session open northwind --name Northwind --ninjaone-region eu
    ninjaone-connect session open northwind --name "Northwind IT" \\
        --reconnect con_abcdefghijklmnopqrstuvwx27
    ninjaone-connect session open northwind --name "Northwind IT" \\
        --new-secret con_abcdefghijklmnopqrstuvwx27
    """
    if reconnect and new_secret:
        raise CliError("Use --reconnect or --new-secret, not both: a reconnect asks for the secret too.")
    verifier = new_verifier()
    with cli.deployment.api as api, cli.screen.waiting("Asking the deployment"):
        opened = api.open_session(
            tenant,
            end_user_id=user,
            tenant_name=name,
            return_to=return_to or next(iter(cli.deployment.config.return_urls)),
            binding_challenge=verifier.challenge,
            connection_id=reconnect or new_secret,
            purpose="client_secret" if new_secret else None,
            region=cast("Region | None", ninjaone_region),
        )
    if complete:
        ticket = _ticket(opened)
        with cli.deployment.api as api, cli.screen.waiting("Asking the deployment"):
            made = api.complete(
                tenant, opened.session_id, end_user_id=user, ticket=ticket, binding_verifier=verifier.verifier
            )
        cli.screen.record(_row(made))
        return
    cli.screen.record(
        {
            "connect_url": opened.connect_url,
            "session_id": opened.session_id,
            "binding_verifier": verifier.verifier,
            "end_user_id": user,
            "expires_at": opened.expires_at,
        }
    )


def _ticket(opened: ConnectSession) -> str:
    """Send somebody to NinjaOne, and ask for the address at which their browser ends."""
    click.echo(
        f"Open this link and agree at NinjaOne:\n\n{opened.connect_url}\n\n"
        "The browser then ends at your return address, and it does not matter what is shown there. Copy the address "
        "from the browser and paste it here within 45 seconds.",
        err=True,
    )
    with before_anything():
        ticket: str = click.prompt("Address", value_proc=lambda pasted: ticket_of(pasted, opened.session_id), err=True)
    return ticket


def ticket_of(pasted: str, session_id: str) -> str:
    """Read the ticket of a session from the address that the browser came back to.

    Raises:
        CliError: access was denied at NinjaOne
        click.BadParameter: this is another address
    """
    fields = _fields_of(pasted)
    if "error" in fields:
        raise CliError("Access was denied at NinjaOne, so nothing was connected. Run the same again to try once more.")
    if fields.get("connect_session") != session_id or not TICKET.fullmatch(fields.get("ticket", "")):
        raise click.BadParameter("This is not where the link led to: copy the whole address, with connect_session=….")
    return fields["ticket"]


def _fields_of(pasted: str) -> dict[str, str]:
    """Read the query of the address in a text, which may stand in brackets or quotation marks, as in Markdown."""
    fields: dict[str, str] = {}
    for word in words(pasted):
        with suppress(ValueError):  # it is no address
            fields |= parse_qsl(urlsplit(word).query)
    return fields


@click.group(cls=Commands)
def connections() -> None:
    """List, show and end connections."""


@connections.command("list")
@click.argument("tenant", type=TENANT, required=False)
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only these; may be given twice."
)
@click.option("--ninjaone-region", "regions", multiple=True, type=click.Choice([*ninjaone.REGIONS, ninjaone.BRANDED]),
              help="Only those in this region of NinjaOne; may be given twice.")  # fmt: skip
@click.option("--ends-within", type=click.IntRange(0, 366), metavar="DAYS",
              help="Only those whose customers have to agree again within so many days.")  # fmt: skip
@pass_cli
def list_connections(
    cli: CliContext, tenant: str | None, *, statuses: tuple[str, ...], regions: tuple[str, ...], ends_within: int | None
) -> None:
    """List the connections of TENANT; without one, those of all tenants.

    Without a tenant the whole table is read (a Scan), which an operator may do and the backend API may not.

    \b
    ninjaone-connect connections list northwind
    ninjaone-connect connections list --status needs_reauth --status paused
    ninjaone-connect connections list --ends-within 7 --json
    """
    deployment = cli.deployment
    if tenant:
        with deployment.api as api, cli.screen.waiting("Asking the deployment"):
            found = [_row(each) for each in api.connections(tenant, status="any")]
    else:
        cli.screen.say("Reading the whole table (a Scan).")
        with cli.screen.waiting("Reading the table"):
            found = list(Inventory.read(deployment).rows())
    before = deployment.now() + (ends_within or 0) * policy.DAY
    chosen = [
        each
        for each in found
        if (not statuses or each["status"] in statuses)
        and (not regions or each["region"] in regions)
        and (ends_within is None or _ends_before(each, before))
    ]
    if not cli.screen.as_json:  # a machine compares token_expires_at
        chosen = [_with_reason(each, deployment.now()) for each in chosen]
    columns = COLUMNS if tenant else {"tenant_id": "tenant", **COLUMNS}
    of_whom = f"of the tenant {tenant}. Without a tenant, all are listed." if tenant else "in this deployment."
    cli.screen.table(chosen, columns, empty=f"There is no {'such ' if found else ''}connection {of_whom}")


def _with_reason(row: dict[str, Any], now: float) -> dict[str, Any]:
    """Say of an active connection that its token ended, as where a refresh was killed and no failure is known."""
    is_over = row["status"] == "active" and 0 < row["token_expires_at"] <= now
    return row | {"reason": "token ended"} if is_over else row


def _ends_before(row: dict[str, Any], instant: float) -> bool:
    ends_at = row["consent_ends_at"]
    return row["status"] in {"active", "paused"} and ends_at is not None and ends_at <= instant


@connections.command("show")
@click.argument("tenant", type=TENANT)
@click.argument("connection", type=CONNECTION)
@pass_cli
def show_connection(cli: CliContext, tenant: str, connection: str) -> None:
    """Show one connection.

    \b
    ninjaone-connect connections show northwind con_abcdefghijklmnopqrstuvwx27
    """
    with cli.deployment.api as api, cli.screen.waiting("Asking the deployment"):
        cli.screen.record(_row(api.connection(tenant, connection)))


@connections.command("disconnect")
@click.argument("tenant", type=TENANT)
@click.argument("connection", type=CONNECTION)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@pass_cli
def disconnect(cli: CliContext, tenant: str, connection: str, *, yes: bool) -> None:
    """End a connection: delete its tokens here, revoke them at NinjaOne.

    \b
    ninjaone-connect connections disconnect acme con_abcdefghijklmnopqrstuvwx27
    """
    if not yes:
        with cli.deployment.api as api, cli.screen.waiting("Asking the deployment"):
            found = api.connection(tenant, connection)
        confirm(f"{_named(found)}: the customer would have to connect again. Disconnect?")
    with cli.deployment.api as api, cli.screen.waiting("Asking the deployment"):
        ended = api.disconnect(tenant, connection)
    cli.screen.record({"connection_id": connection, "status": "disconnected", "revoked": ended.revoked})


def _named(found: Connection) -> str:
    """Name a connection as people know it: whose it is, its label, and where in NinjaOne."""
    return f"{found.tenant_id}, {escaped(found.label)} on {found.host}"


@connections.command("disconnect-all")
@click.argument("tenant", type=TENANT, required=False)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@pass_cli
def disconnect_all(cli: CliContext, tenant: str | None, *, yes: bool) -> None:
    """End every connection of TENANT, as when a customer leaves; without one, of every tenant.

    A revocation that NinjaOne does not confirm is tried again, and listed if that fails too; so is what could not be
    ended. The same command goes on where it was stopped; what it showed before is not shown again.

    \b
    ninjaone-connect connections disconnect-all northwind
    """
    of_whom = f"Every connection of {tenant}" if tenant else "Every customer of this deployment"
    if not yes:
        confirm(f"{of_whom} would have to be connected again. Disconnect them all?")
    store = Store(cli.deployment.aws("dynamodb"), cli.deployment.config.connections_table)
    rows = store.of_tenant(tenant) if tenant else store.items()
    found = [row for row in rows if connection_id(row.key) and not _has_ended(row)]
    with cli.deployment.api as api, cli.screen.steps("Disconnecting", len(found)) as step:
        outcomes = [_ended(api, row, step) for row in found]
    outcomes = _revoked_again(cli, found, outcomes)
    left = [each for each in outcomes if each["outcome"] != REVOKED]
    cli.screen.table(left, ENDED_COLUMNS, empty=f"{len(found)} connections ended, and NinjaOne revoked each.")
    if any(each["outcome"] != NOT_CONFIRMED for each in left):
        raise CliError("Not all of them could be ended: run this again, or see docs/operate/remove.md.")


def _revoked_again(cli: CliContext, found: list[Row], outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Retry each revocation that NinjaOne did not confirm, with the token that the row held before."""
    again = [row for row, each in zip(found, outcomes, strict=True) if each["outcome"] == NOT_CONFIRMED]
    revoked: set[ConnectionRef] = set()
    for wait in REVOKE_WAITS:
        again = [row for row in again if row.ref not in revoked]
        if again:
            time.sleep(wait)
        revoked |= {row.ref for row in again if _is_revoked(cli, row)}
    return [
        {**each, "outcome": REVOKED} if (row.ref in revoked) else each
        for row, each in zip(found, outcomes, strict=True)
    ]


def _is_revoked(cli: CliContext, row: Row) -> bool:
    """Ask NinjaOne once more; an identity that may not open tokens does not retry."""
    deployment, state = cli.deployment, row.state
    if state is None or state.refresh is None or state.customer_app:  # that secret is deleted with its connection
        return False
    try:
        refresh = deployment.seal.open(state.refresh, Purpose.REFRESH, state.aad)
        client = deployment.client_secrets.client(state.client_id)
    except BrokerError:
        return False
    with deployment.web as web:
        return revoke(web, state.host, client, refresh)


def _has_ended(row: Row) -> bool:
    return row.state is not None and row.state.status is Status.DISCONNECTED


def _ended(api: Connect, row: Row, step: Callable[[], None]) -> dict[str, Any]:
    """End one connection and return the outcome; an error does not stop the others from being ended."""
    try:
        outcome = REVOKED if api.disconnect(row.tenant, row.key).revoked else NOT_CONFIRMED
    except ConnectError as error:
        outcome = str(error)
    step()
    return {"tenant_id": row.tenant, "connection_id": row.key, "outcome": outcome}


@click.command()
@click.argument("tenant", type=TENANT)
@click.argument("connection", type=CONNECTION)
@click.option("--min-ttl", type=click.IntRange(0, 3000), default=300, show_default=True, help="Seconds it must last.")
@pass_cli
def token(cli: CliContext, tenant: str, connection: str, min_ttl: int) -> None:
    """Show an access token, for trying NinjaOne's API by hand. It is a secret.

    \b
    ninjaone-connect token northwind con_abcdefghijklmnopqrstuvwx27
    ninjaone-connect token northwind con_abcdefghijklmnopqrstuvwx27 --json
    """
    with cli.deployment.api as api, cli.screen.waiting("Asking the deployment"):
        given = api.token(tenant, connection, min_ttl=min_ttl)
    cli.screen.record(
        {
            "access_token": given.access_token,
            "api_base_url": given.api_base_url,
            "expires_at": given.expires_at,
        }
    )


def _row(found: Connection) -> dict[str, Any]:
    return {
        "tenant_id": found.tenant_id,
        "connection_id": found.connection_id,
        "status": found.status,
        "reason": found.reason or (found.paused and found.paused.cause),
        "paused": found.paused and found.paused.detail,
        "region": found.region,
        "host": found.host,
        "client_id": found.client_id,
        "label": found.label,
        "organizations": [each.name for each in found.organizations],
        "scopes": list(found.scopes),
        "version": found.version,
        "connected_at": found.connected_at,
        "token_expires_at": found.token_expires_at,
        "refresh_at": found.refresh_at,
        "consent_ends_at": found.consent_ends_at,
        "probably_same_as": found.probably_same_as,
    }


COMMANDS = (session, connections, token)
