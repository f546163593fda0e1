"""Secrets Manager, Parameter Store and EventBridge in memory."""

# ruff: noqa: N803
# The parameters bear the API's own names.

from dataclasses import dataclass, field
from typing import Any

from tests.verification.simulation.aws import Answer, Exceptions, error, ok


@dataclass
class SecretsManager:
    """A Secrets Manager client: by ARN, the versions of each secret, newest last."""

    secrets: dict[str, list[str]]
    exceptions = Exceptions()

    def get_secret_value(self, *, SecretId: str, VersionStage: str = "AWSCURRENT") -> Answer:
        versions = self.secrets.get(SecretId, [])
        at = {"AWSCURRENT": 1, "AWSPREVIOUS": 2}.get(VersionStage, len(versions) + 1)
        if at > len(versions):
            raise error(
                "ResourceNotFoundException",
                "GetSecretValue",
                "Secrets Manager can't find the specified secret.",
            )
        return ok(
            ARN=SecretId,
            Name=SecretId.rpartition(":")[2],
            VersionId=f"version-{len(versions) - at}",
            SecretString=versions[-at],
            VersionStages=[VersionStage],
        )


@dataclass
class ParameterStore:
    """An SSM client: by name, the current value."""

    parameters: dict[str, str]
    exceptions = Exceptions()

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> Answer:
        if Name not in self.parameters:
            raise error("ParameterNotFound", "GetParameter", f"Parameter {Name} not found.")
        return ok(Parameter={"Name": Name, "Type": "String", "Value": self.parameters[Name], "Version": 1})


@dataclass
class EventBridge:
    """An EventBridge client: every event put, in order."""

    events: list[dict[str, Any]] = field(default_factory=list)
    exceptions = Exceptions()

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Answer:
        if not 1 <= len(Entries) <= 10:
            raise error("ValidationException", "PutEvents")
        self.events.extend(Entries)
        first = len(self.events) - len(Entries)
        answers = [{"EventId": f"event-{first + n}"} for n in range(len(Entries))]
        return ok(FailedEntryCount=0, Entries=answers)
