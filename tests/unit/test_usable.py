"""Which connect sessions somebody can still start."""

from dataclasses import replace

import pytest

from broker.errors import AwaitingCompletion, BrokerError, SessionExpired, SessionSpent, UnknownSession
from broker.flows.connect import require_startable_session
from broker.model import Instant, SessionPurpose, Stage
from tests.support.full_rows import SESSION

NOW = Instant(1_800_000_000)
SECRET = SessionPurpose.CLIENT_SECRET


@pytest.mark.parametrize(
    ("stage", "purpose", "left", "code_left", "error"),
    [
        (Stage.CREATED, SessionPurpose.CONNECT, 1, 1, None),
        (Stage.CREATED, SessionPurpose.CONNECT, 0, 1, SessionExpired),
        (Stage.STARTED, SessionPurpose.CONNECT, 1, 1, None),
        (Stage.DENIED, SessionPurpose.CONNECT, 1, 1, None),
        (Stage.AUTHORIZED, SessionPurpose.CONNECT, 1, 1, AwaitingCompletion),
        (Stage.AUTHORIZED, SessionPurpose.CONNECT, 1, 0, None),
        (Stage.AUTHORIZED, SECRET, 1, 1, None),
        (Stage.AUTHORIZED, SECRET, 1, 0, None),
        (Stage.AUTHORIZED, SECRET, 0, 1, SessionExpired),
        (Stage.EXCHANGING, SessionPurpose.CONNECT, 1, 0, AwaitingCompletion),
        (Stage.EXCHANGED, SessionPurpose.CONNECT, 1, 0, AwaitingCompletion),
        (Stage.COMPLETED, SessionPurpose.CONNECT, 1, 1, SessionSpent),
        (Stage.COMPLETED, SECRET, 1, 1, SessionSpent),
        (Stage.FAILED, SessionPurpose.CONNECT, 1, 0, SessionSpent),
    ],
)
def test_a_session_is_usable_until_somebody_agreed_or_its_time_is_up(
    stage: Stage, purpose: SessionPurpose, left: int, code_left: int, error: type[BrokerError] | None
) -> None:
    session = replace(
        SESSION, stage=stage, purpose=purpose, expires_at=Instant(NOW + left), code_expires_at=Instant(NOW + code_left)
    )

    if error is None:
        assert require_startable_session(session, NOW) == session
        return
    with pytest.raises(error) as refused:
        require_startable_session(session, NOW)
    assert refused.value.return_to == session.return_to


def test_a_session_that_is_not_there_is_unknown() -> None:
    with pytest.raises(UnknownSession) as refused:
        require_startable_session(None, NOW)
    assert not refused.value.return_to
