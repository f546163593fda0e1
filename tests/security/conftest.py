"""One world for each file of attacks, and its people. Every answer they get is held to the same headers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from local.aws.gateway.sigv4 import DEMO, Principal
from local.browser import Browser
from local.cloudformation.arns import arn
from local.world import World
from tests.support.exits import header_faults
from tests.support.http_flow import Answers, Backend, Flow
from tests.support.local_world import still_world

SCOPED = Principal("AKIASCOPED", "scoped-secret", "scoped", (arn("execute-api", "*/$default/*/v1/tenants/acme/*"),))
"""A backend whose own policy names the paths of one tenant."""

API_GATEWAYS_OWN = {f'{{"message":"{text}"}}' for text in ("Forbidden", "Not Found", "Request Entity Too Large")}
"""What API Gateway answers before any function is called; on the backend API alone, since nobody browses there."""

_tenants = count(1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with still_world(principals=(DEMO, SCOPED)) as world:
        yield world


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def backend(world: World, answers: Answers) -> Iterator[Backend]:
    made = Backend(world, answers)
    yield made
    made.close()


@pytest.fixture
def browser(world: World, answers: Answers) -> Iterator[Callable[[], Browser]]:
    """Open a browser profile; what the broker answered it is looked at when the test is over."""
    with ExitStack() as opened:
        visitors: list[Browser] = []

        def open_one() -> Browser:
            visitors.append(opened.enter_context(Browser()))
            return visitors[-1]

        yield open_one
        for browser in visitors:
            mine = [page.answer for page in browser.pages if page.url.startswith(world.connect_url)]
            answers.seen.extend(mine)


@pytest.fixture
def tenant() -> str:
    """A tenant that nobody else uses."""
    return f"tenant-{next(_tenants)}"


@pytest.fixture
def flow(world: World, backend: Backend, browser: Callable[[], Browser], tenant: str) -> Flow:
    return Flow(world, backend, browser(), tenant)


@pytest.fixture(autouse=True)
def headers_everywhere(answers: Answers) -> Iterator[None]:
    """Hold every answer of a test to the headers; what API Gateway says by itself has none."""
    yield
    for answer in answers.seen:
        if answer.text in API_GATEWAYS_OWN:
            continue
        assert list(header_faults(answer.headers, has_body=bool(answer.content))) == []
