"""Say which AWS account a deployment goes to, before anybody waits for a build and answers twenty questions."""

import sys

from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.identity import identity

LOG_IN = (
    "To log in: `aws configure sso`, or `aws configure`, with the AWS CLI, or set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY. To name a profile: AWS_PROFILE=name make deploy"
)

if __name__ == "__main__":
    try:
        sys.stdout.write(f"To {identity()}\n")
    except CliError as why:
        sys.exit(f"{why}\n{LOG_IN}")
