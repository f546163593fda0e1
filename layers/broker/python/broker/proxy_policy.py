"""Rules for which NinjaOne calls the proxy may forward: the operator's parameter ProxyPolicy.

NinjaOne's scopes hardly limit writes (docs/understand/ninjaone.md §12), so these rules limit methods and paths. They
are separated by ``;``, each is ``PRINCIPAL METHODS PATH``, and a call that no rule allows is refused:

    * GET /v2/*; arn:aws:sts::123456789012:assumed-role/tickets/* POST,PUT /v2/ticketing/*

PRINCIPAL    the caller's ARN, as API Gateway names it; ``*`` stands for any characters
METHODS      separated by commas; HEAD is allowed with GET
PATH         ``*`` stands for one segment, and at the end for the rest
A rule that ends with ``showSecureValues`` also allows the query that makes NinjaOne show secrets.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SECURE_VALUES = "showSecureValues"

_ANY_METHOD = "|".join(METHODS)
_RULE = rf"[!-:<-~]{{1,200}} ({_ANY_METHOD})(,({_ANY_METHOD}))* /v2/[A-Za-z0-9._~*/-]{{1,120}}( {SECURE_VALUES})?"
WANTED = "rules such as * GET /v2/*, separated by semicolons"
PATTERN = re.compile(rf"{_RULE}( *; *{_RULE})*")


@dataclass(frozen=True)
class CallRule:
    """One rule."""

    principal: str
    methods: frozenset[str]
    path: str
    secure_values: bool

    def __str__(self) -> str:
        methods = ",".join(method for method in METHODS if method in self.methods)
        return f"{methods} {self.path}" + (f" {SECURE_VALUES}" if self.secure_values else "")

    def is_for(self, caller: str) -> bool:
        """Return whether the rule applies to a caller."""
        return bool(self._principal.fullmatch(caller))

    def allows(self, method: str, path: str, *, secure_values: bool) -> bool:
        """Return whether the rule allows a call.

        Args:
            path: begins with ``/v2/``; every segment decoded once
        """
        is_method = ("GET" if method == "HEAD" else method) in self.methods
        return is_method and bool(self._path.fullmatch(path)) and (self.secure_values or not secure_values)

    @cached_property
    def _principal(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.principal.split("*"))))

    @cached_property
    def _path(self) -> re.Pattern[str]:
        whole, star, _ = self.path.rpartition("/*") if self.path.endswith("/*") else (self.path, "", "")
        segments = "[^/]*".join(map(re.escape, whole.split("*")))
        return re.compile(segments + ("/.+" if star else ""), re.DOTALL)


def read(text: str) -> tuple[CallRule, ...]:
    """Parse a text of rules that matches PATTERN."""
    return tuple(_rule(each.split()) for each in text.split(";"))


def _rule(words: Sequence[str]) -> CallRule:
    principal, methods, path, *more = words
    return CallRule(principal, frozenset(methods.split(",")), path, bool(more))
