"""What the model remembers: the row, the rescue store, the provider's truth, and who is at work.

A refresh token is its place in the provider's chain: 0, 1, 2, … Nothing here has a clock; whatever the
real system decides by time is a step that may or may not happen.
"""

from typing import Literal, NamedTuple

Step = Literal[
    "read",
    "open_token",
    "data_keys",
    "acquire",
    "look_in_rescue",
    "post",
    "save",
    "sink",
    "reread",
    "strike",
    "release",
]

Place = Literal[Step, "reply", "look_again", "quarantine"]
"""Where an invocation stands: the step it takes next. `reply`: its request is on the way."""


class Row(NamedTuple):
    """The connection as DynamoDB holds it.

    Attributes:
        version: saves so far
        token: the sealed refresh token
        before: the token of the version before: what a stale read shows
        fence: times the lease was won
        leased: somebody's lease is in force
        attempt: somebody announced a request and has not said how it ended
        doubt: for this version some attempt never said how it ended
        strikes: dead-token verdicts against this version
        dead: the connection says needs_reauth; it is still tried, now and then
    """

    version: int = 0
    token: int = 0
    before: int = 0
    fence: int = 0
    leased: bool = False
    attempt: bool = False
    outcome_unknown: bool = False
    strikes: int = 0
    dead: bool = False


class World(NamedTuple):
    """Everything outside the invocations.

    Attributes:
        rescue: (version of the row it was meant to follow, token), the newest last
        live: the one token the provider would accept
        revoked: the provider has killed the family
    """

    row: Row = Row()
    rescue: tuple[tuple[int, int], ...] = ()
    live: int = 0
    revoked: bool = False


class Invocation(NamedTuple):
    """One run of the refresh function, between two of its effects.

    Attributes:
        version: of the row it read
        token: it will present
        fence: it knows
        held: the token it was granted and has not stored
        retried: it has sent its second request
    """

    at: Place
    version: int = 0
    token: int = 0
    fence: int = 0
    held: int | None = None
    retried: bool = False


def stored(world: World) -> list[int]:
    """List the tokens that a later invocation can still open."""
    return [world.row.token, *(token for _, token in world.rescue)]


def is_stored(world: World) -> bool:
    """Say whether the provider has a live token and the stores have it too."""
    return not world.revoked and world.live in stored(world)


def tidied(world: World) -> World:
    """Sweep rescued tokens that the row has caught up with.

    An object for an older version is never looked up, and a token as old as the row's decides no property.
    """
    row = world.row
    rescue = tuple((version, token) for version, token in world.rescue if version >= row.version or token > row.token)
    return world._replace(rescue=rescue)
