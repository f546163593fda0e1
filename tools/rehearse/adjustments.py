"""Where MiniStack is not AWS, each place as one small adjustment with its reason; run as a script, it starts MiniStack.

Only MiniStack's own interpreter runs this file. The adjustments are applied in its process before it serves, so that
the template, the SAM CLI and the handlers stay what a user deploys. Each one hands a setting that CloudFormation
should apply to MiniStack's own implementation, or fills in what AWS puts into an event or a request's context.
Another version of MiniStack may need fewer: `VERSION` says for which one they were written.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

VERSION = "1.5.33"
NAMES = "names"
"""The folder beside this file that leads names to this machine, for the functions' processes."""


def http_api_bodies() -> None:
    """CloudFormation ignores the `Body` of an HTTP API: routes and integrations are made from it, on every update."""
    apis = _part("services.apigateway")
    _after("AWS::ApiGatewayV2::Api", lambda api, properties: _import_body(apis, api, properties.get("Body") or {}))


def _import_body(apis: Any, api: str, body: dict[str, Any]) -> None:
    """Replace an API's routes by those of an OpenAPI document, as `ReimportApi` does."""
    apis._routes[api], apis._integrations[api] = {}, {}
    for path, methods in body.get("paths", {}).items():
        for method, operation in methods.items():
            _add_route(apis, api, _route_key(path, method), operation)


def _route_key(path: str, method: str) -> str:
    if path.strip("/") == "$default":
        return "$default"
    return f"{'ANY' if method == 'x-amazon-apigateway-any-method' else method.upper()} {path}"


def _add_route(apis: Any, api: str, key: str, operation: dict[str, Any]) -> None:
    wanted = operation["x-amazon-apigateway-integration"]
    integration = {
        "integrationType": wanted["type"].upper(),
        "integrationUri": wanted["uri"],
        "payloadFormatVersion": wanted["payloadFormatVersion"],
    }
    made = json.loads(apis._create_integration(api, integration)[2])
    signed = any("AWS_IAM" in each for each in operation.get("security", ()))
    route = {"routeKey": key, "target": f"integrations/{made['integrationId']}"}
    apis._create_route(api, route | ({"authorizationType": "AWS_IAM"} if signed else {}))


def cookies() -> None:
    """Payload 2.0 has no `cookies` array and leaves them in a header: they are moved, as API Gateway does."""
    functions = _part("services.lambda_svc")
    execute = functions._execute_function_with_config_scope

    @wraps(execute)
    def with_cookies(record: Any, event: Any, *more: Any, **named: Any) -> Any:
        if isinstance(event, dict) and event.get("version") == "2.0" and "cookie" in event.get("headers", {}):
            event["cookies"] = [each.strip() for each in event["headers"].pop("cookie").split(";")]
        return execute(record, event, *more, **named)

    functions._execute_function_with_config_scope = with_cookies


def condition_keys() -> None:
    """Policies know neither `kms:EncryptionContext:…` nor `events:source`: they are told what the request names."""
    actions = _part("core.iam_actions")
    context_of = actions.request_tag_context

    @wraps(context_of)
    def with_more(service: str, action: str, body: bytes, parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = context_of(service, action, body, parameters)
        return found | _named(service, json.loads(body or b"{}") if service in {"kms", "events"} else {})

    actions.request_tag_context = with_more


def _named(service: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the condition keys of a request."""
    if service == "kms":
        return {f"kms:EncryptionContext:{key}": value for key, value in asked.get("EncryptionContext", {}).items()}
    sources = {entry.get("Source", "") for entry in asked.get("Entries", ())}
    return {"events:source": sources.pop()} if len(sources) == 1 else {}


def re_encryption() -> None:
    """KMS knows no `ReEncrypt`: what one key sealed is opened and sealed again, inside."""
    keys = _part("services.kms")
    handle = keys.handle_request

    @wraps(handle)
    async def with_re_encryption(method: str, path: str, headers: Any, body: bytes, *more: Any) -> Any:
        if headers.get("x-amz-target") == "TrentService.ReEncrypt":
            return _re_encrypt(keys, json.loads(body))
        return await handle(method, path, headers, body, *more)

    keys.handle_request = with_re_encryption


def _re_encrypt(keys: Any, asked: dict[str, Any]) -> Any:
    source, target = (asked.get(f"{end}EncryptionContext", {}) for end in ("Source", "Destination"))
    opened = keys._decrypt({"CiphertextBlob": asked["CiphertextBlob"], "EncryptionContext": source})
    if opened[0] >= 400:
        return opened
    held = json.loads(opened[2])
    sealing = {"KeyId": asked["DestinationKeyId"], "Plaintext": held["Plaintext"], "EncryptionContext": target}
    status, headers, body = keys._encrypt(sealing)
    return status, headers, json.dumps(json.loads(body) | {"SourceKeyId": held["KeyId"]}).encode()


def metric_math() -> None:
    """An alarm on an expression of metrics is refused: it is made, and never fires."""
    _before("AWS::CloudWatch::Alarm", _without_metrics)


def _without_metrics(alarm: dict[str, Any]) -> dict[str, Any]:
    if "Metrics" not in alarm:
        return alarm
    kept = {name: value for name, value in alarm.items() if name != "Metrics"}
    return kept | {"Namespace": "Rehearsal", "MetricName": "NotEvaluated", "Statistic": "Sum", "Period": 300}


def numbers() -> None:
    """A number that comes from a parameter stays a text, and stops a queue's mapping: it is made a number."""
    _before("AWS::Lambda::EventSourceMapping", _with_numbers)


def _with_numbers(mapping: dict[str, Any]) -> dict[str, Any]:
    scaling = {name: int(value) for name, value in mapping.get("ScalingConfig", {}).items()}
    return mapping | ({"ScalingConfig": scaling} if scaling else {})


def table_settings() -> None:
    """CloudFormation applies neither time to live nor point-in-time recovery: DynamoDB's own calls are made for it."""
    tables = _part("services.dynamodb")

    def apply(table: str, properties: dict[str, Any]) -> None:
        for setting, call in (
            ("TimeToLiveSpecification", tables._update_ttl),
            ("PointInTimeRecoverySpecification", tables._update_continuous_backups),
        ):
            if setting in properties:
                call({"TableName": table, setting: _booleans(properties[setting])})

    _after("AWS::DynamoDB::Table", apply)


def secret_references() -> None:
    """`Ref` of a secret gives its name: it gives the ARN, which roles and functions are told."""
    secrets = _handlers()["AWS::SecretsManager::Secret"]
    create, update, delete = secrets["create"], secrets["update"], secrets["delete"]

    def by_arn(made: Any) -> Any:
        return made[1]["Arn"], *made[1:]

    secrets["create"] = wraps(create)(lambda *given, **named: by_arn(create(*given, **named)))
    secrets["update"] = wraps(update)(lambda arn, *given, **named: by_arn(update(_name(arn), *given, **named)))
    secrets["delete"] = wraps(delete)(lambda arn, *given, **named: delete(_name(arn), *given, **named))


def _name(arn: str) -> str:
    """Take a secret's name out of its ARN, which ends in a hyphen and six characters."""
    return arn.rpartition(":secret:")[2][:-7]


def parameter_names() -> None:
    """A parameter without a name is called `/stack/id`: CloudFormation's names have no slash."""
    parameters = _handlers()["AWS::SSM::Parameter"]
    create, update = parameters["create"], parameters["update"]

    @wraps(create)
    def created(logical_id: str, properties: dict[str, Any], stack: str, *more: Any) -> Any:
        return create(logical_id, {"Name": f"CFN-{logical_id}-{stack}"} | properties, stack, *more)

    @wraps(update)
    def updated(name: str, old: Any, new: dict[str, Any], *more: Any, **named: Any) -> Any:
        return update(name, {"Name": name} | old, {"Name": name} | new, *more, **named)

    parameters["create"], parameters["update"] = created, updated


def listeners() -> None:
    """With TLS it takes port 443 as well, where it may: it listens on its one port."""
    application = _part("app")
    bindable = application._port_is_bindable
    application._port_is_bindable = lambda host, port: port != 443 and bindable(host, port)


def workers() -> None:
    """A name asked for inside a function must lead to this machine: its process starts with the names of this run."""
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().with_name(NAMES))


ADJUSTMENTS = (
    http_api_bodies, cookies, condition_keys, re_encryption, metric_math, numbers, table_settings, secret_references,
    parameter_names, listeners, workers,
)  # fmt: skip


def _part(name: str) -> Any:
    """Import a module of MiniStack's, which is found in its own environment only."""
    return import_module(f"ministack.{name}")


def _handlers() -> dict[str, Any]:
    found: dict[str, Any] = _part("services.cloudformation.provisioners")._RESOURCE_HANDLERS
    return found


def _before(resource: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the properties with which resources of this type are created and updated."""
    handlers = _handlers()[resource]
    create, update = handlers["create"], handlers["update"]

    @wraps(create)
    def created(logical_id: str, properties: dict[str, Any], *more: Any, **named: Any) -> Any:
        return create(logical_id, change(properties), *more, **named)

    @wraps(update)
    def updated(physical_id: str, old: dict[str, Any], new: dict[str, Any], *more: Any, **named: Any) -> Any:
        return update(physical_id, change(old), change(new), *more, **named)

    handlers["create"], handlers["update"] = created, updated


def _after(resource: str, apply: Callable[[str, dict[str, Any]], None]) -> None:
    """Do something after a resource of this type was created or updated.

    Args:
        apply: takes the physical id and the resolved properties
    """
    handlers = _handlers()[resource]
    create, update = handlers["create"], handlers["update"]

    @wraps(create)
    def created(logical_id: str, properties: dict[str, Any], *more: Any, **named: Any) -> Any:
        made = create(logical_id, properties, *more, **named)
        apply(made[0], properties)
        return made

    @wraps(update)
    def updated(physical_id: str, old: Any, new: dict[str, Any], *more: Any, **named: Any) -> Any:
        made = update(physical_id, old, new, *more, **named)
        apply(made[0], new)
        return made

    handlers["create"], handlers["update"] = created, updated


def _booleans(setting: dict[str, Any]) -> dict[str, Any]:
    return {name: {"true": True, "false": False}.get(str(value).lower(), value) for name, value in setting.items()}


def main() -> None:
    """Start MiniStack as adjusted. What it listens on and trusts is said by its environment: see `cloud`."""
    for adjust in ADJUSTMENTS:
        adjust()
    sys.argv[1:] = []
    _part("app").main()


if __name__ == "__main__":
    main()
