"""Which AWS account a command would work in, checked before anything that takes long."""

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ninjaone_connect_cli import aws_errors
from ninjaone_connect_cli.errors import CliError

_QUICK = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})


def identity(region: str | None = None) -> str:
    """Ask AWS who is logged in, and return its account and ARN.

    Raises:
        CliError: nobody is logged in, or AWS can't be reached; its text says what to do
    """
    try:
        session = boto3.Session()
        sts = session.client("sts", region_name=region or session.region_name or "us-east-1", config=_QUICK)
        who = sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise CliError(aws_errors.said(error, region)) from None
    return f"the AWS account {who['Account']}, as {who['Arn']}"
