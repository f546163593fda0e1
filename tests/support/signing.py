"""Signatures of a backend's requests, whatever the requests look like."""

from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signed(
    credentials: Credentials,
    method: str,
    url: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    service: str = "execute-api",
    region: str = "eu-west-1",
) -> dict[str, str]:
    """Give a request's headers with the signature among them."""
    request = AWSRequest(method, url, dict(headers or {}), body)
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers)
