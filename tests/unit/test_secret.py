"""A value that does not print."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from broker.secret import Secret
from tools.requirements import req

VALUE = "0f1e2d3c-opaque.token-value"


@dataclass(frozen=True)
class Holder:
    name: str
    secret: Secret


SECRET = Secret(VALUE)
HOLDER = Holder("held", SECRET)


def logged() -> str:
    record = logging.LogRecord("test", logging.ERROR, "", 0, "%s %r", (SECRET, HOLDER), None)
    record.__dict__["secret"] = SECRET
    return logging.Formatter("%(message)s %(secret)s").format(record)


def traced() -> str:
    def fail(held: Secret) -> None:
        raise ValueError(held, HOLDER)

    try:
        fail(SECRET)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return VALUE


SHOWS: dict[str, Callable[[], str]] = {
    "str": lambda: str(SECRET),
    "repr": lambda: repr(SECRET),
    "format": lambda: f"{SECRET}{SECRET!r}{SECRET!s}{SECRET:>40}",
    "percent": lambda: "%s %r" % (SECRET, SECRET),  # noqa: UP031  # the old way to format is one more way to show
    "a dataclass": lambda: repr(HOLDER),
    "a list": lambda: repr([SECRET, {"x": SECRET}]),
    "a log line": logged,
    "a traceback with its variables": traced,
    "an exception": lambda: str(ValueError(SECRET)),
    "a directory": lambda: repr(dir(SECRET)),
    "json with a default": lambda: json.dumps({"x": SECRET}, default=str),
}

REFUSES: dict[str, Callable[[], object]] = {
    "json": lambda: json.dumps({"x": SECRET}),
    "pickle": lambda: pickle.dumps(SECRET),
    "pickle of what holds it": lambda: pickle.dumps(HOLDER),
    "copy": lambda: copy.copy(SECRET),
    "deepcopy": lambda: copy.deepcopy(HOLDER),
    "asdict": lambda: dataclasses.asdict(HOLDER),
    "hash": lambda: hash(SECRET),
    "a set": lambda: {SECRET},
    "vars": lambda: vars(SECRET),
}


@req("G07")
@pytest.mark.parametrize("way", SHOWS)
def test_a_secret_is_masked_however_it_is_shown(way: str) -> None:
    shown = SHOWS[way]()

    assert VALUE not in shown
    assert VALUE[:8] not in shown


@req("G07")
@pytest.mark.parametrize("way", REFUSES)
def test_a_secret_refuses_what_would_copy_it_about(way: str) -> None:
    with pytest.raises(TypeError) as refused:
        REFUSES[way]()

    assert VALUE not in str(refused.value)


@req("G07")
def test_only_reveal_gives_the_value() -> None:
    assert SECRET.reveal() == VALUE


def test_equal_secrets_are_equal_and_others_are_not() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != "a"
