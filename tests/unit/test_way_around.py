"""Behind a firewall, the public functions answer only what brings the header that CloudFront adds."""

from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any

import pytest

from broker.config import Config
from broker.edge.wiring import Broker, Ports
from tests.deployment.template.stack import source
from tests.support.broker_world import LogLines, NinjaOneTransport
from tests.support.events import event
from tests.support.invoke import invoke
from tests.support.journey import Journey
from tools.requirements import req

OLD, NEW = "7" * 64, "8" * 64
PUBLIC = {
    name.removesuffix("Function").lower()
    for name, each in source()["Resources"].items()
    for way in each.get("Properties", {}).get("Events", {}).values()
    if isinstance(way, dict) and way.get("Properties", {}).get("ApiId") == {"Ref": "ConnectApi"}
}


@pytest.fixture
def walled(environment: Mapping[str, str], ports: Ports) -> Broker:
    """A broker whose operator is changing the header: the old one counts still, the new one already."""
    digests = ",".join(sha256(each.encode()).hexdigest() for each in (OLD, NEW))
    return Broker(Config.from_env({**environment, "ORIGIN_VERIFY": digests}), ports)


def answer(broker: Broker, folder: str, header: str | None, **asked: Any) -> dict[str, Any]:
    route = {
        "connect": "GET /connect/{session}",
        "authorize": "POST /connect/{session}/authorize",
        "callback": "GET /callback/{region}",
    }[folder]
    headers = {"sec-fetch-site": "same-origin"} | ({} if header is None else {"x-origin-verify": header})
    entry = import_module(f"functions.{folder}.app").handler.bind(broker)
    answered: dict[str, Any] = invoke(entry, event(route, headers=headers, **asked))
    return answered


def test_the_public_functions_are_these() -> None:
    assert {"connect", "authorize", "callback"} == PUBLIC


@req("M03")
@pytest.mark.parametrize("header", [None, "", "x" * 64, OLD.upper() + "8", sha256(OLD.encode()).hexdigest()])
@pytest.mark.parametrize(("folder", "status"), [("connect", 403), ("authorize", 403), ("callback", 303)])
def test_what_comes_around_the_firewall_is_refused_and_does_nothing(
    walled: Broker,
    journey: Journey,
    network: NinjaOneTransport,
    lines: LogLines,
    folder: str,
    status: int,
    header: str | None,
) -> None:
    """The way back is refused like everywhere: by a redirect away from an address with a code in it."""
    session = journey.open().session
    before = len(network.requests)
    asked = {"region": "eu", "query": f"state={session}.x&code=y"} if folder == "callback" else {"session": session}

    answered = answer(walled, folder, header, **asked)

    assert answered["statusCode"] == status
    assert answered["headers"].get("location", "/notice/way-around").startswith("/notice/way-around")
    assert "This address is not for visitors" in answered["body"] or status == 303
    assert len(network.requests) == before
    assert [line["error"] for line in lines.named(f"{folder}.refused")] == ["OriginUnverified"]


@pytest.mark.parametrize("header", [OLD, NEW])
def test_what_comes_through_it_is_answered(walled: Broker, journey: Journey, header: str) -> None:
    session = journey.open().session

    assert answer(walled, "connect", header, session=session)["statusCode"] == 200


def test_without_a_firewall_the_header_says_nothing(broker: Broker, journey: Journey) -> None:
    session = journey.open().session

    assert answer(broker, "connect", None, session=session)["statusCode"] == 200
    assert answer(broker, "connect", "anything", session=session)["statusCode"] == 200
