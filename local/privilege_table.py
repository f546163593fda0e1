"""The table of privileges, as template.yaml gives them: ``python -m local.privilege_table`` puts it into its page."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from local.cloudformation.resources import Function
from local.cloudformation.template import Template, read
from local.iam import Statement

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- privileges: written by `python -m local.privilege_table` -->", "<!-- end of privileges -->"
PAGE = ROOT / "docs/understand/architecture.md"
PARAMETERS = {"ProductName": "Product", "ReturnUrls": "main=https://app.example/return", "Proxy": "on"}
HEADER = ("function", "called by", "connections", "sessions", "may seal", "may open", "and")

_VERBS = {
    "GetItem": "get",
    "BatchGetItem": "get",
    "Query": "query",
    "PutItem": "put",
    "UpdateItem": "update",
    "DeleteItem": "delete",
}
_SEALED = ("access", "refresh", "client")
_ELSE: Mapping[str, str] = {
    "secretsmanager:GetSecretValue": "client secrets",
    "ssm:GetParameter": "epoch",
    "events:PutEvents": "event bus",
}
_OBJECTS = {"s3:PutObject": "put", "s3:GetObject": "get", "s3:DeleteObject": "delete", "s3:ListBucket": "list"}


def table(template: Template) -> str:
    """Write the table."""
    rows = [HEADER, tuple("---" for _ in HEADER), *(_row(each, template) for each in template.functions.values())]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def _row(function: Function, template: Template) -> tuple[str, ...]:
    connections, sessions = (_table_arn(template, key) for key in ("tenant", "session"))
    return (
        f"`{function.folder}`",
        "; ".join(_triggers(function, template)),
        _listed(_on_table(function.statements, connections)),
        _listed(_on_table(function.statements, sessions)),
        _listed(purposes(function.statements, "kms:GenerateDataKey")),
        _listed(purposes(function.statements, "kms:Decrypt")),
        _listed(_more(function.statements)),
    )


def _table_arn(template: Template, hash_key: str) -> str:
    return next(each.arn for each in template.tables if each.hash_key == hash_key)


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(parts)) or "–"


def _triggers(function: Function, template: Template) -> Iterator[str]:
    for route in function.routes:
        yield "any other address" if route.path == "$default" else route.key.replace("/v1/tenants/{tenant}", "…")
    for schedule in function.schedules:
        yield f"every {schedule.seconds} s"
    for mapping in template.event_source_mappings:
        if template.function(mapping.function).folder == function.folder:
            queue = next((each.logical_id for each in template.queues if each.arn == mapping.source), "")
            yield queue or "the table's stream"


def _on_table(statements: Iterable[Statement], arn: str) -> Iterator[str]:
    for statement in statements:
        if any(each.startswith(f"{arn}/stream") for each in statement.resources):
            yield "stream"
        index = f"{arn}/index/"
        where = next(
            (f" index {each.removeprefix(index)}" for each in statement.resources if each.startswith(index)), ""
        )
        if where or arn in statement.resources:
            verbs = dict.fromkeys(_VERBS[action.partition(":")[2]] for action in statement.actions)
            yield ", ".join(verbs) + where + _limits(statement)


def _limits(statement: Statement) -> str:
    """Return what a statement's conditions leave of a table."""
    values = {condition.key: condition.values for condition in statement.conditions}
    if "dynamodb:LeadingKeys" in values:
        return f" (only {', '.join(values['dynamodb:LeadingKeys'])})"
    if "dynamodb:Attributes" in values:
        sealed = [name for name in _SEALED if name in values["dynamodb:Attributes"]]
        return f" (of what is sealed: {', '.join(sealed)})" if sealed else " (nothing sealed)"
    return ""


def purposes(statements: Iterable[Statement], action: str) -> Iterator[str]:
    """Yield the purposes for which statements allow an action of KMS."""
    for statement in statements:
        if action in statement.actions:
            limits = [each.values for each in statement.conditions if each.key == "kms:EncryptionContext:purpose"]
            yield from limits[0] if limits else ("anything",)


def _more(statements: Sequence[Statement]) -> Iterator[str]:
    for statement in statements:
        for action in statement.actions:
            if action == "sqs:SendMessage":
                yield from (f"send to {resource.rpartition('-')[2]}" for resource in statement.resources)
            elif action in _ELSE:
                yield _ELSE[action]
    objects = [_OBJECTS[action] for each in statements for action in each.actions if action in _OBJECTS]
    if objects:
        yield f"rescue store ({', '.join(objects)})"


def filled(text: str, template: Template) -> str:
    """Put the table into a text, between its two marks.

    Raises:
        ValueError: the text has no such marks
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no place for the table: {BEGIN} … {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{table(template)}\n{END}", text)


def main() -> int:
    """Write the table anew."""
    PAGE.write_text(filled(PAGE.read_text(), read(ROOT / "template.yaml", PARAMETERS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
