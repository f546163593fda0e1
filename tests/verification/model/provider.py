"""The token endpoint: four policies towards a token that was already used.

static        the same refresh token for ever
strict        used once; a used token is refused
reuse_revoke  used once; a used token kills the whole family
grace         as reuse_revoke, but the token used last is accepted again for a while, with a new one in return
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.verification.model.state import World, is_stored

Mode = Literal["static", "strict", "reuse_revoke", "grace"]
MODES: tuple[Mode, ...] = ("strict", "reuse_revoke", "grace", "static")


class Answer(NamedTuple):
    """What the provider did with one request.

    Attributes:
        granted: the token in the reply; None: the dead-token verdict
        world: after it
        fault: the fault that this answer is, if it is one
        breaches: the properties it breaks
    """

    granted: int | None
    world: World
    fault: str | None = None
    breaches: tuple[str, ...] = ()


def answers(mode: Mode, token: int, world: World) -> Iterator[Answer]:
    """Execute one refresh request in every way this provider might."""
    if world.revoked:
        yield Answer(None, world)
    elif mode == "static":
        yield Answer(token, world)
        yield Answer(None, world, fault="spurious")
    elif token == world.live:
        yield Answer(token + 1, world._replace(live=token + 1))
        yield Answer(None, world, fault="spurious")
    else:
        yield from _answers_to_a_used_token(mode, token, world)


def _answers_to_a_used_token(mode: Mode, token: int, world: World) -> Iterator[Answer]:
    if mode == "strict":
        yield Answer(None, world)
        return
    if mode == "grace" and token == world.live - 1:
        yield Answer(world.live + 1, world._replace(live=world.live + 1), fault="grace")
    yield Answer(None, world._replace(revoked=True), breaches=("S2",) if is_stored(world) else ())
