"""Reading moto's parameters and secrets where they lie: through its HTTP each read takes 4 ms, and all make some."""

# ruff: noqa: N803
# The parameters bear the API's own names.

from typing import Any

from moto.backends import get_backend
from werkzeug.exceptions import HTTPException

from local.cloudformation.arns import ACCOUNT, REGION
from tests.verification.simulation.aws import Answer, ok


class SettingsInMemory:
    """What Parameter Store and Secrets Manager hold as text; anything else goes on to moto, whose errors are AWS's."""

    def get_parameter(self, *, Name: str) -> Answer | None:
        found = _backend("ssm").get_parameter(Name)
        return found and ok(Parameter=found.response_object(True, REGION))

    def get_secret_value(
        self, *, SecretId: str, VersionId: str | None = None, VersionStage: str | None = None
    ) -> Answer | None:
        try:
            found = _backend("secretsmanager").get_secret_value(SecretId, VersionId, VersionStage)
        except (HTTPException, KeyError):
            return None
        return ok(**found) if "SecretString" in found else None


def _backend(service: Any) -> Any:
    return get_backend(service)[ACCOUNT][REGION]
