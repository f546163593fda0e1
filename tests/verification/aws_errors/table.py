"""The tables of docs/operate/aws-errors.md: what was seen of each error, errors that come to the same in one row."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

from tests.verification.aws_errors.injection import CODES, DISABLED, code, kinds
from tests.verification.aws_errors.observation import Observed, Seen, calls_of, play
from tests.verification.aws_errors.scenes import SCENES, Scene
from tests.verification.roles.stage import Stage

PAGE = Path(__file__).parents[3] / "docs/operate/aws-errors.md"
BEGIN, END = "<!-- aws-errors: made by `make faults`, compared by a test -->", "<!-- /aws-errors -->"
HEAD = "| Calls of AWS | Their error | What comes of it | In the log | Counted | Alarms |\n|---|---|---|---|---|---|"

Failure = tuple[str, str]
"""The name of a call and the kind of its error."""


def play_all(scene: Scene, stage: Stage) -> dict[Failure, Seen]:
    """Play a scene without an error, then with each error of each call; give the latter, with what they add."""
    calls, usual = calls_of(scene, stage), play(scene, stage).observed
    seen = {(call, kind): play(scene, stage, (call, kind)) for call in calls for kind in kinds(call)}
    return {failure: replace(each, observed=_beyond(each.observed, usual)) for failure, each in seen.items()}


def _beyond(observed: Observed, usual: Observed) -> Observed:
    """Leave out what is counted without an error too."""
    return replace(observed, counts=tuple(each for each in observed.counts if each not in usual.counts))


def rows(seen: Mapping[Failure, Seen]) -> list[str]:
    """Write the rows of one scene."""
    alike: dict[Observed, dict[str, list[str]]] = {}
    for (call, kind), each in seen.items():
        alike.setdefault(each.observed, {}).setdefault(call, []).append(kind)
    return [_row(calls, named, observed) for observed, found in alike.items() for calls, named in _merged(found)]


def _merged(found: Mapping[str, list[str]]) -> Iterator[tuple[list[str], list[str]]]:
    """Put calls together that met the same kinds of error, but for a kind that only some of them know."""
    every = [kind for kind in CODES if any(kind in named for named in found.values())]
    whole = [call for call, named in found.items() if named == [kind for kind in every if code(kind, call)]]
    if whole:
        yield whole, every
    for call, named in found.items():
        if call not in whole:
            yield [call], named


def _row(calls: list[str], named: list[str], observed: Observed) -> str:
    errors = ", ".join("key disabled" if kind == DISABLED else kind for kind in named)
    lists = (_listed(each) for each in (observed.said, observed.counts, observed.alarms))
    return f"| {' | '.join((_listed(calls), errors, observed.answer, *lists))} |"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def tables(written: Mapping[str, list[str]]) -> str:
    """Write what goes between the marks of the page.

    Args:
        written: the rows, by the title of their scene
    """
    parts = []
    for function, scenes in groupby(SCENES, lambda scene: scene.function):
        parts.append(f"## {function}")
        for scene in scenes:
            parts += [f"{scene.title}:", "\n".join((HEAD, *written[scene.title]))]
    return "\n\n".join(parts)


def committed() -> dict[str, list[str]]:
    """Read the rows of the page, by the title of their scene."""
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    return {
        title.removesuffix(":"): table.splitlines()[2:]
        for title, table in pairwise(parts)
        if title.endswith(":") and table.startswith("|")
    }


def put(written: str) -> None:
    """Put the tables between the marks of the page."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{written}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
