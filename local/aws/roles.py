"""A function's role, enforced: every call of its AWS clients is checked before it is made."""

from collections import Counter
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from local.aws.actions import Request, requests_of
from local.cloudformation.arns import ACCOUNT
from local.cloudformation.resources import Function
from local.cloudformation.template import Template
from local.iam import Allowed, check, decide

_CODES = {"s3": "AccessDenied", "sqs": "AccessDenied"}
"""What a refusal is called; `AccessDeniedException` elsewhere."""


class PolicyUsage:
    """Counts how often each statement of each role was needed, and what was refused."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.used: Counter[tuple[str, str, str]] = Counter()
        self.refused: Counter[tuple[str, str, str]] = Counter()

    def count(self, counter: Counter[tuple[str, str, str]], line: tuple[str, str, str]) -> None:
        """Count one line of `used` (function, Sid, action) or `refused` (function, action, resource)."""
        with self._lock:
            counter[line] += 1


class Role:
    """The role of one function."""

    def __init__(self, function: Function, template: Template, usage: PolicyUsage) -> None:
        """Read the role from the template.

        Raises:
            UnsupportedPolicy: the policy has something that can't be evaluated here
        """
        check(function.statements)
        self.function = function
        self._template, self._usage = template, usage

    def enforce_on(self, client: Any) -> Any:
        """Make a client of boto3 act under this role."""
        client.meta.events.register("before-parameter-build", self._judge_call(client))
        client.meta.events.register("after-call.s3.GetObject", self._judge_absence(client))
        return client

    def demand(self, action: str, resource: str) -> None:
        """Check an action that the platform itself does under this role. Raises PermissionError."""
        denied = self._denied(Request(action, resource, {}))
        if denied:
            raise PermissionError(denied)

    def _judge_call(self, client: Any) -> Any:
        service = client.meta.service_model.service_name

        def judge(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
            context["asked"] = params
            for request in requests_of(service, model.name, params, self._template):
                denied = self._denied(request)
                if denied:
                    raise _error(client, model.name, denied)

        return judge

    def _judge_absence(self, client: Any) -> Any:
        """Answer that an object does not exist only to roles that may list its bucket, as S3 does; others get 403."""

        def judge(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
            if parsed.get("Error", {}).get("Code") == "NoSuchKey":
                bucket = context["asked"]["Bucket"]
                denied = self._denied(Request("s3:ListBucket", f"arn:aws:s3:::{bucket}", {}))
                if denied:
                    raise _error(client, model.name, denied)

        return judge

    def _denied(self, request: Request) -> str:
        """Count the decision; return AWS's sentence if it is a refusal, else an empty one."""
        function, usage = self.function, self._usage
        statements = function.statements + self._template.denials(request.resource)
        decision = decide(statements, request.action, request.resource, request.context)
        if isinstance(decision, Allowed):
            usage.count(usage.used, (function.folder, decision.sid, request.action))
            return ""
        usage.count(usage.refused, (function.folder, request.action, request.resource))
        who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{function.name}Role/{function.name}"
        asked = f"{request.action} on resource: {request.resource}"
        return f"User: {who} is not authorized to perform: {asked} {decision.reason}"


def _error(client: Any, operation: str, message: str) -> ClientError:
    """Make the error as the client makes it of AWS's answer."""
    service = client.meta.service_model.service_name
    code = _CODES.get(service, "AccessDeniedException")
    status = 403 if service in _CODES else 400
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
    }
    made = client.exceptions.from_code(code)(answer, operation)
    assert isinstance(made, ClientError)
    return made
