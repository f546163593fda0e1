"""Settings from the environment: proxies, CAs, AWS variables. Each error names its variable.

Proxies are used as httpx does (HTTPS_PROXY, ALL_PROXY, NO_PROXY). The CAs are those of the first of ``BUNDLES`` that is
set, so that a network that intercepts TLS needs no further setting here.
"""

import importlib.util
import ipaddress
import os
import re
import ssl
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from ninjaone_connect.errors import BadSetting

BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name CAs to trust; the first one that is set counts. The first two are AWS's own."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
AWS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL",
)  # fmt: skip

CREDENTIAL_VARIABLES = (
    "AWS_CONFIG_FILE", "AWS_CONTAINER_", "AWS_CREDENTIAL_EXPIRATION", "AWS_DEFAULT_PROFILE", "AWS_EC2_METADATA_",
    "AWS_ENDPOINT_URL", "AWS_MAX_ATTEMPTS", "AWS_METADATA_SERVICE_", "AWS_PROFILE", "AWS_RETRY_MODE", "AWS_ROLE_",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_STS_", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip
"""Prefixes of variables that determine where credentials come from."""

_REGION = re.compile(r"(?:[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})?")
_LABEL = r"\w(?:[\w-]{0,61}\w)?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NOT_A_HOST = frozenset({
    "none", "null", "nil", "undefined", "direct", "off", "false", "no", "true", "on", "yes", "0", "1", "http", "https",
})  # fmt: skip
"""What people write for *no proxy*, and what remains of an address whose ``://`` lacks a character."""
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""How OpenSSL names certificates in a folder. See openssl-rehash(1)."""


def check_aws_variables(environment: Mapping[str, str] = os.environ) -> None:
    """Check that AWS's variables are usable. Raises BadSetting."""
    for name in (*AWS, *BUNDLES):
        check_text(name, environment.get(name, ""))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if not _REGION.fullmatch(environment.get(name, "")):
            raise BadSetting(f"{name} must be an AWS region such as eu-west-1. Correct it, or unset it.")
    address = environment.get("AWS_ENDPOINT_URL", "")
    if address and not _is_web_address(address):
        raise BadSetting("AWS_ENDPOINT_URL must begin with https:// or http://. Correct it, or unset it.")


def _is_web_address(text: str) -> bool:
    try:
        url = httpx.URL(text)
        host = url.host
    except (httpx.InvalidURL, ValueError):
        return False
    return url.scheme in {"http", "https"} and is_host(host)


def credentials_hint(environment: Mapping[str, str] = os.environ) -> str:
    """Return a sentence that names the variables to check when there are no credentials."""
    names = sorted(name for name in environment if name.startswith(CREDENTIAL_VARIABLES))
    return f"Look at {', '.join([*names, '~/.aws/config'])}."


def check_text(name: str, value: str) -> None:
    """Check that a text can be a setting. Raises BadSetting without the text, which may be a secret."""
    if value != value.strip():
        end = "a line break" if value.strip(" \t") != value.strip() else "a space"
        raise BadSetting(
            f"{name} begins or ends with {end}, as a file with Windows line ends or a copied line brings along. "
            "Set it again without."
        )
    if any(unicodedata.category(each) in {"Cc", "Cf"} for each in value):
        raise BadSetting(f"{name} holds a line break or another character that does not show. Set it again without.")
    if value[:1] in {'"', "'"}:
        raise BadSetting(f"{name} stands in quotation marks, which some programs take as a part of it. Set it without.")


def check_proxies(environment: Mapping[str, str] = os.environ) -> None:
    """Check that httpx can use the proxies that are named. Raises BadSetting."""
    for name in _both_cases(environment, PROXIES):
        fault = _proxy_fault(environment[name])
        if fault:
            raise BadSetting(f"{name} {fault}. Correct it, or unset it.")
    for name in _both_cases(environment, ("NO_PROXY",)):
        for entry in map(str.strip, environment[name].split(",")):
            if not _is_no_proxy_entry(entry):
                raise BadSetting(
                    f"{name} holds {entry!r}, which can't be used here: give host names, addresses or IPv4 networks, "
                    "with commas between them."
                )


def _both_cases(environment: Mapping[str, str], names: tuple[str, ...]) -> Iterator[str]:
    """Find the names that are set: both spellings are common."""
    yield from (each for name in names for each in (name, name.lower()) if environment.get(each))


def _proxy_fault(value: str) -> str:
    """Return what is wrong with a proxy's address, without the address: a password may stand in it."""
    if value != value.strip() or any(unicodedata.category(each) == "Cc" for each in value):
        return "begins or ends with a line break or a space, or holds a control character"
    if value[0] in "\"'":
        return "stands in quotation marks"
    address = value if "://" in value else f"http://{value}"
    try:
        url = httpx.URL(address)
        host, scheme, port = url.host, url.scheme, url.port
    except (httpx.InvalidURL, ValueError, UnicodeError):
        return "is no address"
    if port not in {None, *range(1, 65_536)} or not is_host(host) or host in _NOT_A_HOST:
        return "is no address" if host else "names no host"
    if scheme.startswith("socks"):
        has_socks = scheme in {"socks5", "socks5h"} and importlib.util.find_spec("socksio") is not None
        return "" if has_socks else f"begins with {scheme}://, and only http:// and https:// can be used here"
    if scheme not in {"http", "https"}:
        return "must begin with http:// or https://"
    return ""


def is_host(text: str) -> bool:
    """Return whether a text is an address, or a host name that can be looked up; others raise UnicodeError there."""
    if ":" in text:
        return _is_ipv6(text.partition("%")[0])
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return _HOST.fullmatch(text) is not None


def _is_no_proxy_entry(entry: str) -> bool:
    """Return whether httpx takes an entry of NO_PROXY: it makes an address of each, and an IPv6 network is none."""
    if "://" in entry:
        address = entry
    elif _is_ipv6(entry.partition("/")[0]):
        address = f"all://[{entry}]"
    else:
        address = f"all://*{entry}"
    try:
        httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        return False
    return not any(unicodedata.category(each) == "Cc" for each in entry)


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def ca_bundle(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the file or folder of CAs that the environment names. Raises BadSetting if it does not exist."""
    name = next((each for each in BUNDLES if environment.get(each)), None)
    if name is None:
        return None
    if not _exists(environment[name]):
        raise BadSetting(f"{name} names a file that is not there: {environment[name]!r}. Correct it, or unset it.")
    return environment[name]


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # above it stands a folder that may not be read, or it is no path
        return False


def ssl_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Make the context that verifies TLS: with the environment's CAs, else with certifi's. Raises BadSetting."""
    path = ca_bundle(environment)
    _check_key_log(environment)
    if path is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        cafile, capath = _ca_locations(Path(path))
        return ssl.create_default_context(cafile=cafile, capath=capath)
    except (ssl.SSLError, OSError, ValueError):
        name = next(each for each in BUNDLES if environment.get(each))
        kind = "folder" if Path(path).is_dir() else "file"
        hint = " `openssl rehash` gives certificates the names by which they are found." if kind == "folder" else ""
        raise BadSetting(f"{name} names a {kind} without a certificate that can be read: {path!r}.{hint}") from None


def _check_key_log(environment: Mapping[str, str]) -> None:
    """Check that Python can write to SSLKEYLOGFILE. Raises BadSetting."""
    path = environment.get("SSLKEYLOGFILE")
    try:
        with Path(path or os.devnull).open("ab"):
            return
    except (OSError, ValueError):
        raise BadSetting(
            f"SSLKEYLOGFILE names a file that can't be written: {path!r}. Correct it, or unset it."
        ) from None


def _ca_locations(path: Path) -> tuple[Path | None, Path | None]:
    """Return the file or the folder for OpenSSL. Raises ValueError if OpenSSL would find no CA in it."""
    if not path.is_dir():
        return path, None
    if not any(_HASHED.fullmatch(each.name) for each in path.iterdir()):
        raise ValueError
    return None, path


def client_options(**options: Any) -> dict[str, Any]:
    """Return the options of an httpx client; one with a transport of its own ignores the environment.

    Raises:
        BadSetting
    """
    if options.get("transport") is None:
        check_proxies()
        options["verify"] = ssl_context()
    return options


def why_unreached(error: BaseException, host: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return why no connection was made, without the text of another library, which may quote anything."""
    causes = list(_causes(error))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        named = next((each for each in BUNDLES if environment.get(each)), None)
        trusted = f"by the authorities that {named} names" if named else "by the usual authorities"
        return (
            f"the certificate shown for {host} is not trusted {trusted}. Where your network intercepts TLS, "
            "name its authority's file in AWS_CA_BUNDLE or SSL_CERT_FILE"
        )
    way = next(_both_cases(environment, ("HTTPS_PROXY", "ALL_PROXY")), "")
    return type(error).__name__ + (f", asked through the proxy that {way} names" if way else "")


def is_certificate_error(error: BaseException) -> bool:
    """Return whether a connection failed because of a certificate, so that a retry would not help."""
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
