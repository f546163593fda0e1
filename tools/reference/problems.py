"""The page of the problem types."""

import inspect
from collections.abc import Iterator

from broker import errors
from broker.edge.problems import error_response
from broker.errors import BrokerError

HEAD = """# Problems

Written from the broker's errors by `python -m tools.reference`; a test compares it. Every error of the backend API is
a problem detail (RFC 9457): branch on `type`, which is `urn:ninjaone-connect:problem:` and the word below, and show
`detail`, which says what to do. `retry_after` and the header `Retry-After` say how many seconds to wait.

| type | status | who must act | when |
|---|---|---|---|
"""
ACTS: dict[type[BrokerError], str] = {
    errors.CallerError: "the caller",
    errors.CustomerMustAct: "the customer",
    errors.ClientAppError: "whoever registered the client app",
    errors.Retryable: "nobody: ask again later",
    errors.ServerFault: "the operator",
}


def page() -> str:
    """Write the page."""
    return HEAD + "".join(_row(kind, who) for family, who in ACTS.items() for kind in _leaves(family))


def _leaves(kind: type[BrokerError]) -> Iterator[type[BrokerError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for each in below:
        yield from _leaves(each)


def _row(kind: type[BrokerError], who: str) -> str:
    bare = kind.__new__(kind)
    vars(bare)["customer_app"] = False
    when = " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("``", "`").split())
    return f"| `{kind.slug()}` | {error_response(bare).status} | {who} | {when} |\n"
