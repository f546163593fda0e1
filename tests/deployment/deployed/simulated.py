"""AWS as it would describe a stack that is what template.yaml says. botocore's own models hold the answers to their
shapes, so that the smoke tests can be tried, and planted faults seen, without an account."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.credentials import Credentials
from botocore.validate import ParamValidator

from broker.config import Config
from local.cloudformation.arns import ACCOUNT, REGION
from local.cloudformation.template import Template
from local.iam import Allowed, decide
from ninjaone_connect_cli.deployment import Deployment
from tests.deployment.template.stack import deploy
from tools.deployed.account import APIS

Json = dict[str, Any]
Answer = Callable[[Json], Json]

STACK = deploy()
ADDRESSES = {"ConnectApi": "https://connect.example", "BackendApi": "https://backend.example"}


class Refuses(Exception):
    """AWS says no, with a code."""


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


class SimulatedAws:
    """An account with one stack.

    changes   operation → what is done to its answer before it is given: a planted fault
    """

    def __init__(self, template: Template, config: Config) -> None:
        self._template, self._config = template, config
        self._asked: Json = {}
        self._clients: dict[str, Any] = {}
        self.changes: dict[str, Callable[[Json], object]] = {}

    @property
    def deployment(self) -> Deployment:
        return Deployment(
            stack="simulated",
            region=REGION,
            config=self._config,
            outputs={"BackendApiUrl": ADDRESSES["BackendApi"]},
            aws=self._client,
            transport=lambda: (_ for _ in ()).throw(AssertionError("NinjaOne is not asked")),
            credentials=Credentials("AKIAEXAMPLE", "not a secret"),
            resources={name: name for name in STACK.resources},
        )

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            session = boto3.Session("AKIAEXAMPLE", "not a secret", region_name=REGION)
            client: Any = session.client(service)  # type: ignore[call-overload]  # any service
            client.meta.events.register("before-parameter-build", self._listen)
            client.meta.events.register("before-call", self._answer)
            self._clients[service] = client
        return self._clients[service]

    def _listen(self, params: Json, **_: Any) -> None:
        self._asked = dict(params)

    def _answer(self, model: Any, **_: Any) -> tuple[SimpleNamespace, Json]:
        """Answer instead of AWS; a fault that is planted is given as AWS would give it."""
        try:
            answer = deepcopy(ANSWERS[model.name](self, self._asked))  # what is planted stays out of the template
            if model.name in self.changes:
                self.changes[model.name](answer)
        except Refuses as refusal:
            return SimpleNamespace(status_code=400), {"Error": {"Code": str(refusal), "Message": ""}}
        report: Any = ParamValidator().validate(answer, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), answer

    # API Gateway ------------------------------------------------------------------------------------------------------

    def api(self, asked: Json) -> Json:
        assert asked["ApiId"] in APIS
        return {"ApiEndpoint": ADDRESSES[asked["ApiId"]], "DisableExecuteApiEndpoint": False}

    def routes(self, asked: Json) -> Json:
        paths = STACK.the(asked["ApiId"])["Body"]["paths"]
        operations = [(method, path) for path, methods in paths.items() for method in methods]
        listed = [{"RouteKey": " ".join(each), "AuthorizationType": "AWS_IAM"} for each in operations]
        return {"Items": listed}

    def stages(self, asked: Json) -> Json:
        stage = STACK.the(f"{asked['ApiId']}ApiGatewayDefaultStage")
        told = {name: stage[name] for name in ("AccessLogSettings", "DefaultRouteSettings")}
        return {"Items": [{"StageName": "$default", **told}]}

    # Functions and roles ----------------------------------------------------------------------------------------------

    def function(self, asked: Json) -> Json:
        name = asked["FunctionName"]
        layers = [{"Arn": arn("lambda", f"layer:{each.strip('<>')}:1")} for each in STACK.the(name)["Layers"]]
        return {
            "FunctionName": name,
            "FunctionArn": arn("lambda", f"function:{name}"),
            "Role": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "Layers": layers,
            "LoggingConfig": {"LogGroup": "FunctionLog"},
            "Environment": {"Variables": {"CLIENT_SECRETS": "ClientSecrets"}},
        }

    def url(self, _: Json) -> Json:
        raise Refuses("ResourceNotFoundException")

    def calls(self, asked: Json) -> Json:
        function = next(
            each for each in self._template.functions.values() if _name(each.folder) == asked["FunctionName"]
        )
        if not function.routes or "Qualifier" in asked:
            raise Refuses("ResourceNotFoundException")
        api = "BackendApi" if any(route.signed for route in function.routes) else "ConnectApi"
        statement = {
            "Principal": {"Service": "apigateway.amazonaws.com"},
            "Condition": {"ArnLike": {"AWS:SourceArn": arn("execute-api", f"{api}/*/GET/x")}},
        }
        return {"Policy": json.dumps({"Statement": [statement]})}

    def judged(self, asked: Json) -> Json:
        """Let IAM judge a role, on the resources as the local world names them."""
        folder = asked["PolicySourceArn"].rpartition("/")[2].removesuffix("Function").lower()
        context = {each["ContextKeyName"].lower(): tuple(each["ContextKeyValues"]) for each in asked["ContextEntries"]}
        statements = self._template.functions[folder].statements
        (action,), (resource,) = asked["ActionNames"], asked["ResourceArns"]
        decided = isinstance(decide(statements, action, resource, context), Allowed)
        decision = "allowed" if decided else "implicitDeny"
        return {"EvaluationResults": [{"EvalActionName": action, "EvalDecision": decision}]}

    def stack(self, _: Json) -> Json:
        parameters = [{"ParameterKey": "ReserveRefreshes", "ParameterValue": "no"}]
        made: Json = {"StackName": "simulated", "StackStatus": "CREATE_COMPLETE", "Parameters": parameters}
        return {"Stacks": [made | {"CreationTime": "2026-01-01T00:00:00Z"}]}

    # What is kept -----------------------------------------------------------------------------------------------------

    def table(self, asked: Json) -> Json:
        said = STACK.the(asked["TableName"])
        keys = {"ConnectionsTable": "tenant", "SessionsTable": "session"}
        table = next(each for each in self._template.tables if each.hash_key == keys[asked["TableName"]])
        described = {
            "TableArn": table.arn,
            "DeletionProtectionEnabled": said["DeletionProtectionEnabled"],
            "SSEDescription": {"Status": "ENABLED" if said["SSESpecification"]["SSEEnabled"] else "DISABLED"},
            "BillingModeSummary": {"BillingMode": said["BillingMode"]},
        }
        return {"Table": described}

    def backups(self, asked: Json) -> Json:
        on = STACK.the(asked["TableName"])["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        point = {"PointInTimeRecoveryStatus": "ENABLED" if on else "DISABLED"}
        told = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": point}
        return {"ContinuousBackupsDescription": told}

    def lives(self, asked: Json) -> Json:
        said = STACK.the(asked["TableName"])["TimeToLiveSpecification"]
        told = {"TimeToLiveStatus": "ENABLED", "AttributeName": said["AttributeName"]}
        return {"TimeToLiveDescription": told}

    def key(self, _: Json) -> Json:
        (key,) = self._template.keys
        return {"KeyMetadata": {"KeyId": key.id, "Arn": key.arn, "KeyManager": "CUSTOMER"}}

    def data_key(self, asked: Json) -> Json:
        if "EncryptionContext" not in asked:
            raise Refuses("AccessDeniedException")
        return {}

    def bucket_rules(self, asked: Json) -> Json:
        (rule,) = STACK.the(asked["Bucket"])["LifecycleConfiguration"]["Rules"]
        return {"Rules": [{"Status": rule["Status"], "Expiration": {"Days": rule["ExpirationInDays"]}}]}

    def queue(self, asked: Json) -> Json:
        return {
            "Attributes": {"SqsManagedSseEnabled": str(STACK.the(asked["QueueUrl"])["SqsManagedSseEnabled"]).lower()}
        }

    def logs(self, asked: Json) -> Json:
        name = asked["logGroupNamePrefix"]
        return {"logGroups": [{"logGroupName": name, "retentionInDays": STACK.the(name)["RetentionInDays"]}]}


def _name(folder: str) -> str:
    return f"{folder.capitalize()}Function"


ANSWERS: Mapping[str, Callable[[SimulatedAws, Json], Json]] = {
    "GetApi": SimulatedAws.api,
    "GetRoutes": SimulatedAws.routes,
    "GetStages": SimulatedAws.stages,
    "GetFunctionConfiguration": SimulatedAws.function,
    "GetFunctionUrlConfig": SimulatedAws.url,
    "GetFunctionConcurrency": lambda _, __: {},
    "GetPolicy": SimulatedAws.calls,
    "SimulatePrincipalPolicy": SimulatedAws.judged,
    "DescribeStacks": SimulatedAws.stack,
    "DescribeTable": SimulatedAws.table,
    "DescribeContinuousBackups": SimulatedAws.backups,
    "DescribeTimeToLive": SimulatedAws.lives,
    "DescribeKey": SimulatedAws.key,
    "GetKeyRotationStatus": lambda _, __: {"KeyRotationEnabled": STACK.the("SealKey")["EnableKeyRotation"]},
    "GetKeyPolicy": lambda _, __: {"Policy": json.dumps(STACK.the("SealKey")["KeyPolicy"])},
    "GenerateDataKey": SimulatedAws.data_key,
    "GetBucketLifecycleConfiguration": SimulatedAws.bucket_rules,
    "GetPublicAccessBlock": lambda _, __: {
        "PublicAccessBlockConfiguration": STACK.the("RescueBucket")["PublicAccessBlockConfiguration"]
    },
    "GetQueueAttributes": SimulatedAws.queue,
    "DescribeLogGroups": SimulatedAws.logs,
    "GetSecretValue": lambda _, __: {"SecretString": '{"a client id": "a client secret"}'},
}
"""What AWS says to each call, by its name."""
