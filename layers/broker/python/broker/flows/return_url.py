"""The address at which a person returns to the product."""

from urllib.parse import urlencode

from broker.config import Config
from broker.errors import SessionExpired
from broker.model import Session


def return_url(config: Config, session: Session, **parameters: str) -> str:
    """Return the session's return address, with the session's id and these parameters as its query.

    Raises:
        SessionExpired: the operator has removed the return address since the session was opened
    """
    base = config.return_urls.get(session.return_to)
    if base is None:
        raise SessionExpired
    return f"{base}?{urlencode({'connect_session': session.session, **parameters})}"
