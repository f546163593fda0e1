"""Mutants written by hand, where no rule of `sites.py` reaches: a file, a piece of its text, what takes its place."""

import ast
from collections.abc import Iterator
from functools import partial

from tests.verification.mutants.sites import ROOT, Mutant

PLANTED = (
    ("edge/api.py", 'broker.limits.acquire(f"principal {request.caller}", PRINCIPAL)', "pass"),
    ("edge/api.py", "broker.limits.acquire(f\"tenant {named['tenant']}\", TENANT)", "pass"),
    ("adapters/http.py", "follow_redirects=False", "follow_redirects=True"),
    ("adapters/http.py", "trust_env=False", "trust_env=True"),
    ("adapters/transport.py", "context.minimum_version = ssl.TLSVersion.TLSv1_2", "pass"),
    ("adapters/transport.py", "retries=0, trust_env=False", "retries=0, trust_env=True"),
    (
        "flows/authorize.py",
        "probe = self._location(session, host, _HOST_CHECK_SECRETS)",
        "probe = self._location(session, host, self._draw(session.session))",
    ),
    (
        "flows/refresh/breakers.py",
        "return self._is_failing(name, row), row.failures > 0, turn",
        "return row.failures > 0, turn",
    ),
    (
        "flows/refresh/save.py",
        '(found.get("version"), found.get("fence")) == (value(leased.version + 1), value(leased.fence))',
        'found.get("version") == value(leased.version + 1)',
    ),
    ("edge/browser.py", "life = min(left, policy.SESSION_LIFE) + policy.CODE_LIFE", "life = left + policy.CODE_LIFE"),
    ("edge/browser.py", "policy.SESSION_LIFE) + policy.CODE_LIFE", "policy.SESSION_LIFE)"),
)


def planted() -> Iterator[Mutant]:
    """Make them all. Raises LookupError: the text is there no more, or more than once."""
    for file, was, now in PLANTED:
        source = (ROOT / file).read_text()
        if source.count(was) != 1:
            raise LookupError(f"{file} holds {was!r} {source.count(was)} times, not once")
        lines = _lines(ast.parse(source), source[: source.index(was)].count("\n") + 1)
        yield Mutant(file, "", "planted", lines, was, now, partial(ast.parse, source.replace(was, now)))


def _lines(module: ast.Module, line: int) -> tuple[int, int]:
    """Find the smallest statement that a line is in: who runs it runs that line."""
    spans = [(node.lineno, node.end_lineno or 0) for node in ast.walk(module) if isinstance(node, ast.stmt)]
    return min((span for span in spans if span[0] <= line <= span[1]), key=lambda span: span[1] - span[0])
