"""Requests of every shape that the OpenAPI documents allow and forbid: each answer is one that they describe."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.world import World
from tests.contract.documents import FOLDER
from tests.support.local_world import still_world
from tests.support.signing import signed
from tools.requirements import req

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
API = schemathesis.openapi.from_path(FOLDER / "api.yaml")
CONNECT = schemathesis.openapi.from_path(FOLDER / "connect.yaml")

bounded = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.slow


class Signature(AuthBase):
    """Signs as a backend does, whatever the request looks like."""

    def __init__(self, world: World) -> None:
        self._credentials = world.credentials

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        assert isinstance(body, bytes | str)
        content = body if isinstance(body, bytes) else body.encode()
        request.headers.update(signed(self._credentials, request.method or "", request.url or "", content))
        return request


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with still_world() as made:
        yield made


@req("P01", "H05")
@API.parametrize()
@bounded
def test_the_private_api_answers_as_it_says(case: Any, world: World) -> None:
    case.call_and_validate(base_url=world.api_url, auth=Signature(world), checks=CHECKS)


@req("P01")
@CONNECT.parametrize()
@bounded
def test_the_public_api_answers_as_it_says(case: Any, world: World) -> None:
    case.call_and_validate(base_url=world.connect_url, checks=CHECKS, allow_redirects=False)
