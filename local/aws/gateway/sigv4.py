"""AWS Signature Version 4 as API Gateway verifies it: the signature is computed again and compared."""

import hmac
import re
from calendar import timegm
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import strptime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.cloudformation.arns import ACCOUNT, REGION
from local.iam import like

SERVICE = "execute-api"
SKEW = 300
"""Seconds by which a signer's clock may be off."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Principal:
    """Somebody with AWS credentials.

    Attributes:
        invokes: ARN patterns of the routes this identity may call: arn:…:api/$default/METHOD/path
    """

    access_key: str
    secret_key: str
    name: str
    invokes: tuple[str, ...] = ("*",)

    @property
    def arn(self) -> str:
        """The identity, as events and logs name it."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"

    @property
    def user_id(self) -> str:
        """The identity's unique id."""
        return "AIDA" + sha256(self.name.encode()).hexdigest()[:16].upper()

    @property
    def credentials(self) -> Credentials:
        """What a client signs with."""
        return Credentials(self.access_key, self.secret_key)


DEMO = Principal("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "demo-backend")
"""The backend of the demo product; the keys are AWS's own documentation example and open nothing."""


@dataclass(frozen=True)
class Signed:
    """A request as it arrived, for checking.

    Attributes:
        url: as the client addressed it: its Host, its raw path and query
        headers: by lower-case name
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Unsigned(Exception):
    """The request does not prove who sent it. The reason is for the log; a client does not get it."""


def verify(request: Signed, principals: Iterable[Principal], now: float) -> Principal:
    """Find who signed the request, or raise Unsigned.

    Signatures in the query string are not accepted.

    See AWS General Reference, "Create a signed AWS API request".
    """
    said = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if said is None:
        raise Unsigned("no Authorization header of Signature Version 4")
    access_key, day, region, service, names, signature = said.groups()
    if (region, service) != (REGION, SERVICE):
        raise Unsigned(f"signed for {service} in {region}")
    principal = next((known for known in principals if known.access_key == access_key), None)
    if principal is None:
        raise Unsigned("unknown access key")
    _check_time(request.headers.get("x-amz-date", ""), day, now)
    _check_coverage(request, set(names.split(";")))
    if not hmac.compare_digest(_signature(request, names.split(";"), principal), signature):
        raise Unsigned("the signature does not match")
    return principal


def _check_time(stamp: str, day: str, now: float) -> None:
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or stamp[:8] != day:
        raise Unsigned("no date, or another one than the credential's")
    if abs(timegm(strptime(stamp, "%Y%m%dT%H%M%SZ")) - now) > SKEW:
        raise Unsigned("the signer's clock is off")


def _check_coverage(request: Signed, signed: set[str]) -> None:
    """Require that the host, the date and every x-amz header are signed, and that the body matches its hash."""
    must = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    if not must <= signed <= request.headers.keys():
        raise Unsigned(f"the signature does not cover {', '.join(sorted(must - signed)) or 'what it names'}")
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed is not None and claimed != sha256(request.body).hexdigest():
        raise Unsigned("the body is not the one that was signed")


def _signature(request: Signed, names: Iterable[str], principal: Principal) -> str:
    headers = {name: request.headers[name] for name in names}
    again = AWSRequest(request.method, request.url, headers, request.body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(principal.credentials, SERVICE, REGION)
    return str(signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again))


def may_invoke(principal: Principal, route: str) -> bool:
    """Return whether the identity's own policy lets it call a route, given as its ARN."""
    return any(like(route, pattern) for pattern in principal.invokes)
