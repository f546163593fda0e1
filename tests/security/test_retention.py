"""What is forgotten, and when."""

from local.world import World
from tests.support.http_flow import Backend, Flow, slug
from tools.requirements import req

DAY = 86_400


@req("J10", "I06")
def test_a_disconnected_connection_is_gone_thirty_days_later_whole(world: World, flow: Flow, backend: Backend) -> None:
    made, kept = flow.connect(), Flow(world, backend, flow.browser, flow.tenant).connect()
    path = f"/v1/tenants/{flow.tenant}/connections/{made['connection_id']}"
    backend.call("DELETE", path)

    world.clock.advance(29 * DAY)
    world.expire()
    before = backend.get(path)
    world.clock.advance(2 * DAY)
    world.expire()
    after = backend.get(path)

    assert (before.json()["status"], after.status_code, slug(after)) == ("disconnected", 404, "unknown-connection")
    rows = world.aws("dynamodb").scan(TableName=next(each.name for each in world.template.tables if each.range_key))
    names = {row["connection"]["S"] for row in rows["Items"] if row["tenant"]["S"] == flow.tenant}
    assert names == {kept["connection_id"], f"{kept['connection_id']}#profile"}


@req("J10")
def test_a_session_is_gone_within_two_days(world: World, flow: Flow) -> None:
    flow.home()
    table = next(each.name for each in world.template.tables if each.hash_key == "session")

    world.clock.advance(2 * DAY)
    world.expire()

    assert world.aws("dynamodb").scan(TableName=table)["Items"] == []


@req("J10", "I06")
def test_after_a_disconnection_nothing_sealed_is_left(world: World, flow: Flow, backend: Backend) -> None:
    made = flow.connect()
    backend.call("DELETE", f"/v1/tenants/{flow.tenant}/connections/{made['connection_id']}")

    rows = world.aws("dynamodb").scan(TableName=next(each.name for each in world.template.tables if each.range_key))
    mine = [row for row in rows["Items"] if row["tenant"]["S"] == flow.tenant]
    assert len(mine) == 2
    assert not [name for row in mine for name, held in row.items() if "B" in held]
