"""Turn any error of AWS that the command line meets into one sentence that says what to do.

AWS's own text is not shown: it may be long, and may quote what was sent. The sentences differ by what to do: log in,
set a clock, correct a region, a profile, a proxy or a certificate, ask for a right, restore what was deleted, or wait.

See AWS General Reference, "Common errors"; AWS Security Token Service, "Errors"; botocore.exceptions.
"""

import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from broker.errors import AwsRefused
from ninjaone_connect.environment import why_unreached

MAX_CLOCK_SKEW = 240
"""Seconds by which a clock may be off before AWS refuses signatures (at 300)."""

LOG_IN = "The AWS login ran out: log in again (`aws sso login`, or `aws login`), then run the same command again."
CLOCK = "AWS refuses the signature's time: set this machine's clock by NTP, then run the same command again."
KEYS = (
    "AWS does not know these credentials: the access key was deleted or turned off, or is of another account or "
    "partition. Log in again, or name another profile with --profile."
)
SECRET_KEY = (
    "AWS refuses the signature: the secret access key does not belong to its key id. Set both again, or log in again; "
    "if they are right, look at this machine's clock."
)
REGION = "This is no AWS region that can be used: correct --aws-region, AWS_REGION or the region of your profile."
RIGHTS = "This identity may not do that ({what}): docs/operate/permissions.md says what each command needs."
RESTORE = (
    "The client secrets are marked for deletion, and so nothing can be refreshed. Restore them now: "
    "aws secretsmanager restore-secret --secret-id <the output ClientSecrets>"
)
KMS_KEY = (
    "The KMS key can't be used ({what}): it is turned off, or marked for deletion. `aws kms describe-key` shows which; "
    "then `aws kms enable-key` or `aws kms cancel-key-deletion`."
)
ACCOUNT = (
    "AWS has closed, suspended or not yet verified this account ({what}): log in to the AWS console as its owner; it "
    "says what is open, or ask AWS Support."
)
GONE = (
    "What the stack made is not there ({what}): it was deleted by hand, or is another stack's or region's. `doctor` "
    "shows what else is missing; docs/operate/runbooks.md says how to bring it back."
)
NO_SECRETS = "No client secrets are stored yet: docs/operate/your-app.md, step 4."
BUSY = "AWS is busy or out of order ({what}): nothing is wrong here. Try again in a minute."
SETTINGS = "The AWS configuration can't be used ({what}): look at the profile in ~/.aws/config, and at --profile."
NETWORK = (
    "AWS can't be reached from here ({what}): look at this machine's network, its proxy (HTTPS_PROXY) and the region."
)

_CODES: Mapping[str, str] = {
    **dict.fromkeys(
        ("expiredtoken", "tokenrefreshrequired", "expiredtokenexception", "unauthorized", "invalidgrant",
         "unauthorizedssotokenerror", "ssotokenloaderror", "ssoerror", "tokenretrievalerror", "loginerror",
         "invalidclient", "unauthorizedclient", "authorizationpending", "loginrefreshrequired", "logintokenloaderror",
         "logininsufficientpermissions", "invalididentitytoken",
         "idprejectedclaim", "pendingauthorizationexpirederror", "loginauthorizationcodeerror", "expiredtradeintoken",
         "credentialsexpired"), LOG_IN),
    **dict.fromkeys(
        ("invalidstate", "disabled", "keyunavailable", "invalidkeyusage", "decryptionfailure"), KMS_KEY),
    **dict.fromkeys(
        ("resourcenotfound", "notfound", "tablenotfound", "nosuchbucket", "nosuchkey", "nosuchentity",
         "nonexistentqueue", "queuedoesnotexist", "parameternotfound", "parameterversionnotfound", "404"), GONE),
    **dict.fromkeys(
        ("accountproblem", "notsignedup", "blocked", "pendingverification", "accountsuspended"), ACCOUNT),
    **dict.fromkeys(("requestexpired", "requesttimetooskewed", "requestinthefuture"), CLOCK),
    **dict.fromkeys(
        ("invalidclienttokenid", "unrecognizedclient", "invalidaccesskeyid", "authfailure", "invalidtoken",
         "missingauthenticationtoken", "missingauthenticationtokenexception", "notauthorizedexception",
         "nocredentials", "invalidsecurity", "401"), KEYS),
    **dict.fromkeys(("signaturedoesnotmatch", "invalidsignature", "incompletesignature"), SECRET_KEY),
    **dict.fromkeys(
        ("invalidregion", "invalidregionerror", "noregionerror", "unknownregionerror", "endpointvariant",
         "unknownendpointerror", "authorizationheadermalformed", "permanentredirect", "illegallocationconstraint",
         "regiondisabled", "invalidhostlabelerror", "invaliddnsnameerror", "301", "307", "moved", "redirect",
         "temporaryredirect", "servicenotinregionerror", "endpointvarianterror", "unknownfipsendpointerror"), REGION),
    **dict.fromkeys(
        ("optinrequired", "subscriptionrequired", "accessdenied", "accessdeniedexception", "unauthorizedoperation",
         "notauthorized", "authorizationerror", "forbidden", "403", "allaccessdisabled",
         "insufficientprivileges", "accessdeniedbyservicecontrol", "explicitdeny", "tagpolicy"), RIGHTS),
    **dict.fromkeys(
        ("nocredentialserror", "profilenotfound", "partialcredentialserror", "configparseerror", "confignotfound",
         "invalidconfigerror", "credentialretrievalerror", "metadataretrievalerror", "unabletoparse",
         "unsupportedsignatureversionerror", "infiniteloopconfigerror", "unknowncredentialerror", "noauthtokenerror",
         "invaliddefaultsmode", "refreshwithmfaunsupportederror", "ssoprofilenotfound", "missingdependency",
         "invalidimdsendpointerror", "invalidimdsendpointmodeerror", "invalidretryconfigurationerror",
         "invalidmaxretryattemptserror", "invalidretrymodeerror", "invalidproxiesconfigerror",
         "invalidstsregionalendpointsconfigerror", "invalidendpointconfigurationerror", "invalidchecksumconfigerror",
         "unknowntokenprovidererror", "datanotfounderror", "unknownserviceerror", "apiversionnotfounderror",
         "unknownsignatureversionerror", "invalids3addressingstyleerror", "invalids3useast1regionalendpointconfigerror",
         "invalidendpointdiscoveryconfigurationerror"), SETTINGS),
    **dict.fromkeys(
        ("endpointconnectionerror", "connecttimeouterror", "readtimeouterror", "connectionclosederror",
         "httpclienterror", "connectionerror", "proxyconnectionerror", "endpointprovidererror",
         "responsestreamingerror", "incompletereaderror", "checksumerror", "flexiblechecksumerror"), NETWORK),
    **dict.fromkeys(
        ("throttling", "throttled", "throttledexception", "requestthrottled", "requestlimitexceeded", "slowdown",
         "toomanyrequests", "provisionedthroughputexceeded", "serviceunavailable", "internalfailure",
         "internalservererror", "internalerror", "internalserviceerror", "internalservice", "priorrequestnotcomplete",
         "limitexceeded", "requesttimeout", "bandwidthlimitexceeded", "internal", "dependencytimeout",
         "transactioninprogress", "transactionconflict", "internalserver", "ec2throttled", "replicatedwriteconflict",
         "overlimit", "idpcommunicationerror", "toomanyupdates", "toomanyrequestserror", "service", "servicefailure",
         "unavailable", "resourceinuse", "requestaborted", "insufficientcapacity", "capacitynotavailableerror", "408",
         "429", "500", "502", "503", "504"), BUSY),
}  # fmt: skip
"""Codes of AWS and classes of botocore, as ``_bare`` writes them → what to do."""

_OWN_SENTENCES: Mapping[str, str] = {
    "NoCredentialsError": "No AWS credentials were found: log in, or name a profile: export AWS_PROFILE=NAME.",
    "PartialCredentialsError": (
        "One half of the AWS credentials is missing: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together."
    ),
    "NoRegionError": "Name the AWS region of the stack with --aws-region.",
    "ProfileNotFound": "There is no such AWS profile: `aws configure list-profiles` names them.",
}
"""Errors for which the general sentence would be less clear."""


def said(error: Exception, region: str | None = None) -> str:
    """Return what to do about an error of AWS, of botocore, or of the broker's client of AWS.

    Args:
        region: the region that was called, if it is known
    """
    if isinstance(error, AwsRefused):
        return _of_code(error.code, f"{error.operation}, {error.code}", error.operation)
    if isinstance(error, ClientError):
        return _of_answer(error)
    name = type(error).__name__
    if name in _OWN_SENTENCES:
        return _OWN_SENTENCES[name]
    if "SSL" in name or "certificate" in why_unreached(error, "AWS"):
        return f"{NETWORK.format(what=_why_distrusted())}"
    if name == "EndpointConnectionError" and region and region not in _regions():
        return f"There is no AWS region {region}: correct --aws-region, AWS_REGION or the region of your profile."
    return _of_code(name, name)


def is_known(error: Exception) -> bool:
    """Return whether an error is one of AWS's, which ``said`` explains."""
    return isinstance(error, AwsRefused | ClientError | BotoCoreError)


def _of_answer(error: ClientError) -> str:
    """Explain an answer of AWS. A wrong clock is reported as such whatever the code, as the answer has AWS's time."""
    code, operation = str(error.response.get("Error", {}).get("Code", "")), error.operation_name
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    sentence = _of_code(code, f"{operation}, {code}", operation)
    off = _clock_is_off(str(headers.get("date", ""))) if sentence in {SECRET_KEY, CLOCK, KEYS} else 0
    if abs(off) > MAX_CLOCK_SKEW:
        return f"This machine's clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}: set it by NTP."
    return sentence


def _of_code(code: str, what: str, operation: str = "") -> str:
    bare = _bare(code)
    if operation == "GetSecretValue" and bare in {"invalidrequest", "resourcenotfound"}:
        return RESTORE if bare == "invalidrequest" else NO_SECRETS
    general = f"AWS refused: {what}. Look it up in the AWS documentation of that call, or see the AWS Health Dashboard."
    return _CODES.get(bare, _CODES.get(code.lower(), general)).format(what=what)


def _bare(code: str) -> str:
    """Unify the spellings of one error: ``ThrottlingException``, ``Throttling``, ``KmsThrottling``."""
    return code.rpartition(".")[2].removesuffix("Exception").removesuffix("Fault").lower().removeprefix("kms")


def _why_distrusted() -> str:
    named = next((name for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE") if os.environ.get(name)), "")
    if named:
        return f"its certificate is not trusted by what {named} names"
    return "its certificate is not trusted; where your network intercepts TLS, name its authority in AWS_CA_BUNDLE"


def _regions() -> list[str]:
    session = boto3.Session(region_name="us-east-1")
    return [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("cloudformation", partition)
    ]


def _clock_is_off(date: str) -> float:
    """Return by how many seconds this machine is ahead of AWS."""
    try:
        return time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0
