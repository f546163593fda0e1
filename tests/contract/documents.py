"""The two OpenAPI documents as tests read them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

Json = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "openapi"
METHODS = ("get", "post", "delete")
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """One status of one operation."""

    operation: "Operation"
    status: int
    said: Json

    @property
    def contents(self) -> Json:
        """By media type: schema and examples. A redirect has none."""
        found: Json = self.said.get("content", {})
        return found

    @property
    def problems(self) -> set[str]:
        """The problem types that are documented, by the last part of their names."""
        return set(self.contents.get(PROBLEM, {}).get("examples", {}))


@dataclass(frozen=True)
class Operation:
    """One method and path."""

    document: "Document"
    method: str
    path: str
    said: Json

    @property
    def name(self) -> str:
        found: str = self.said["operationId"]
        return found

    @property
    def route(self) -> str:
        """The route key that leads there."""
        whole = self.document.raw["paths"][self.path]
        return str(whole.get("x-route") or f"{self.method.upper()} {self.path}")

    @property
    def answers(self) -> list[Answer]:
        responses = self.said["responses"].items()
        return [Answer(self, int(status), self.document.resolved(said)) for status, said in responses]

    @property
    def problems(self) -> set[str]:
        return {slug for answer in self.answers for slug in answer.problems}

    def answer(self, status: int) -> Answer:
        return next(answer for answer in self.answers if answer.status == status)

    @property
    def request_contents(self) -> Json:
        found: Json = self.said.get("requestBody", {}).get("content", {})
        return found


@dataclass(frozen=True, eq=False)
class Document:
    """One document."""

    raw: Json

    def resolved(self, said: Json) -> Json:
        """Follow a reference, if it is one."""
        if "$ref" not in said:
            return said
        found: Any = self.raw
        for part in said["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        result: Json = found
        return result

    def operations(self) -> Iterator[Operation]:
        for path, whole in self.raw["paths"].items():
            for method in METHODS:
                if method in whole:
                    yield Operation(self, method, path, whole[method])

    def operation(self, method: str, path: str) -> Operation:
        """Find what a request asks for."""
        for operation in self.operations():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation.path).replace(r"\{path\}", ".+"))
            is_any = operation.route.startswith("ANY ")
            if (is_any or operation.method == method.lower()) and re.fullmatch(pattern, path):
                return operation
        raise LookupError(f"{method} {path} is not documented")

    def validate(self, thing: Any, schema: Json) -> None:
        """Check a value against a schema of this document."""
        whole = {**schema, "components": self.raw["components"]}
        Draft202012Validator(whole).validate(thing)

    def examples(self, content: Json) -> Mapping[str, Any]:
        """The examples of a media type, by name."""
        return {name: self.resolved(said)["value"] for name, said in content.get("examples", {}).items()}

    def check(self, response: httpx.Response) -> tuple[str, int, str]:
        """Check that an answer is as documented; give operation, status and problem type."""
        request = response.request
        operation = self.operation(request.method, request.url.path)
        documented = {answer.status: answer for answer in operation.answers}
        assert response.status_code in documented, f"{operation.name} does not document {response.status_code}"
        answer = documented[response.status_code]
        kind = response.headers.get("content-type", "").partition(";")[0]
        if not answer.contents:
            assert response.content == b""
            return operation.name, answer.status, ""
        assert kind in answer.contents, f"{operation.name} {answer.status} does not document {kind}"
        if kind == "text/html":
            return operation.name, answer.status, ""
        body = response.json()
        self.validate(body, answer.contents[kind]["schema"])
        slug = str(body.get("type", "")).rpartition(":")[2] if kind == PROBLEM else ""
        assert not slug or slug in answer.problems, f"{operation.name} {answer.status} does not document {slug}"
        return operation.name, answer.status, slug


@cache
def document(name: str) -> Document:
    """Read ``api`` or ``connect``."""
    return Document(yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader=yaml.CSafeLoader))
