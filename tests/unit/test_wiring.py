"""How a process makes its clients of AWS."""

from typing import Any

import pytest

from broker.edge import wiring


class Session:
    """A session of botocore's that notes whether another thread could use it while it makes a client."""

    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []

    def create_client(self, service: str, **_: Any) -> object:
        self.made.append((service, wiring._CLIENT_LOCK.locked()))
        return object()


def test_one_client_of_a_service_is_made_and_none_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    monkeypatch.setattr(wiring, "_session", lambda: session)
    wiring._create_client.cache_clear()

    first, again, other = wiring._cached_client("s3"), wiring._cached_client("s3"), wiring._cached_client("sqs")

    wiring._create_client.cache_clear()
    assert first is again is not other
    assert session.made == [("s3", True), ("sqs", True)]
