"""Say which AWS account a deployment goes to, before anybody waits for a build and answers twenty questions."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

LOG_IN = "Log in to AWS (`aws configure sso`, or `aws configure`), or name a profile: AWS_PROFILE=name make deploy"
SENTENCES = {
    "NoCredentialsError": "No AWS credentials were found.",
    "PartialCredentialsError": "The AWS credentials are not whole.",
    "ProfileNotFound": "There is no such AWS profile: `aws configure list-profiles` names them.",
    "ExpiredToken": "The AWS login ran out.",
    "InvalidClientTokenId": "AWS does not know these credentials.",
    "SignatureDoesNotMatch": "AWS does not know these credentials.",
    "SSOTokenLoadError": "The AWS login ran out: `aws sso login`.",
    "TokenRetrievalError": "The AWS login ran out: `aws sso login`.",
    "UnauthorizedSSOTokenError": "The AWS login ran out: `aws sso login`.",
}


def identity() -> str:
    """Ask AWS who is logged in. Raises   SystemExit, with what to do"""
    quick = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
    try:
        session = boto3.Session()
        sts = session.client("sts", region_name=session.region_name or "us-east-1", config=quick)
        who = sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise SystemExit(f"{SENTENCES.get(code, f'AWS does not answer as it should ({code}).')}\n{LOG_IN}") from None
    return f"To the AWS account {who['Account']}, as {who['Arn']}"


if __name__ == "__main__":
    sys.stdout.write(identity() + "\n")
