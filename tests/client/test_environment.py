"""Proxies, certificates and AWS variables that can't be used: one sentence names the variable, and nothing is sent."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import create_server
from threading import Event

import httpx
import pytest
from botocore.credentials import Credentials

from ninjaone_connect import AsyncConnect, Connect, environment, errors
from tests.support.certificate import certified
from tests.support.client_stage import API, CON, KEYS

VARIABLES = (*environment.AWS, *environment.BUNDLES, *environment.PROXIES, "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


PROXIES = {
    "socks": ("ALL_PROXY", "socks5://127.0.0.1:1080"),
    "an unknown scheme": ("HTTPS_PROXY", "sock://127.0.0.1"),
    "lower case": ("https_proxy", "ftp://user:secret@127.0.0.1"),
    "a line break": ("HTTPS_PROXY", "http://127.0.0.1:3128\r"),
    "no port": ("HTTP_PROXY", "http://user:secret@proxy:port"),
    "no host": ("HTTPS_PROXY", "http://"),
    "a port beyond all": ("HTTPS_PROXY", "http://user:secret@proxy:99999"),
    "port 0": ("HTTPS_PROXY", "http://proxy:0"),
    "quotation marks": ("HTTPS_PROXY", '"http://user:secret@proxy:3128"'),
    "a scheme of one slash": ("HTTPS_PROXY", "http:/proxy:3128"),
    "a scheme without its colon": ("HTTPS_PROXY", "http//proxy:3128"),
    "a space in the host": ("HTTPS_PROXY", "http://user:secret@pro xy:3128"),
    "two hosts": ("HTTPS_PROXY", "http://one,two:3128"),
    "a slash in the password": ("HTTPS_PROXY", "http://user:se/secret@proxy:3128"),
    "none": ("HTTPS_PROXY", "none"),
    "a name that was not put in": ("HTTPS_PROXY", "http://${PROXY_HOST}:3128"),
    "a pattern": ("HTTPS_PROXY", "http://*.corp.example:3128"),
    "an empty label": ("HTTPS_PROXY", "http://user:secret@proxy..example:3128"),
    "a label of 64": ("HTTPS_PROXY", f"http://user:secret@{'p' * 64}.example:3128"),
    "a share of Windows": ("HTTPS_PROXY", r"\\proxy\3128"),
    "a word for yes": ("HTTPS_PROXY", "1"),
    "older socks": ("ALL_PROXY", "socks4://127.0.0.1:1080"),
    "an IPv6 network": ("NO_PROXY", "localhost,fd07::/64"),
    "brackets": ("no_proxy", "[::1]"),
}


@pytest.mark.parametrize("kind", [Connect, AsyncConnect])
@pytest.mark.parametrize("way", PROXIES)
def test_a_proxy_that_can_t_be_used_is_named_and_its_password_is_not(
    monkeypatch: pytest.MonkeyPatch, way: str, kind: type[Connect]
) -> None:
    name, value = PROXIES[way]
    monkeypatch.setenv(name, value)

    with pytest.raises(errors.BadSetting) as refused:
        kind(API, credentials=KEYS)

    assert str(refused.value).startswith(name)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [
        "http://proxy:3128", "proxy:3128", "https://user:p@proxy", "http://[::1]:3128/", "http://user:pa ss@proxy:3128",
        "HTTP://PROXY:3128", "10.0.0.1", "http://user:p@ss@proxy", "http://proxy.corp.example:3128/path",
        "http://prôxy.example:3128", "http://corp_proxy:3128", "http://[fe80::1%25eth0]:3128",
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["", "localhost,127.0.0.1,::1,.corp.example,*.x,10.0.0.0/8,corp:8080", "*"])
def test_proxies_that_can_be_used_are(monkeypatch: pytest.MonkeyPatch, value: str, around: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setenv("NO_PROXY", around)

    Connect(API, credentials=KEYS).close()


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", " "])
def test_an_aws_variable_that_ends_in_a_line_break_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, end: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv(name, "a-secret" + end)

    with pytest.raises(errors.BadSetting) as refused:
        Connect(API)

    assert str(refused.value).startswith(f"{name} begins or ends with")
    assert "a-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "EU-WEST-1"),
        ("AWS_REGION", "Europe (Ireland)"),
        ("AWS_REGION", "eu-west-1a"),
        ("AWS_DEFAULT_REGION", "eu_west_1"),
        ("AWS_REGION", '"eu-west-1"'),
        ("AWS_SECRET_ACCESS_KEY", "'a-secret'"),
        ("AWS_PROFILE", "\u200bprod"),
        ("AWS_PROFILE", "prod\ufeff"),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("AWS_ENDPOINT_URL", "http://"),
        ("AWS_ENDPOINT_URL", "http://host:port"),
    ],
)
def test_an_aws_variable_that_can_t_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(errors.BadSetting, match=f"^{name} ") as refused:
        Connect(API)

    assert "a-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "region",
    [
        "eu-west-1",
        "us-gov-east-1",
        "cn-northwest-1",
        "us-iso-east-1",
        "ap-southeast-5",
        "mx-central-1",
        "eusc-de-east-1",
    ],
)
def test_every_kind_of_aws_region_can_be_set(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("AWS_REGION", region)

    environment.check_aws_variables()


@pytest.mark.parametrize(
    "credentials",
    [("AK\n", "s", None), ("AK", "s\r", None), ("AK", "s", "t\r\n"), ("Aé", "s", None), ('"AK"', "s", None)],
)
def test_credentials_that_no_header_takes_are_never_counted_as_sent(
    credentials: tuple[str, str, str | None],
) -> None:
    asked: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(404)

    transport = httpx.MockTransport(note)
    with pytest.raises(errors.NotSent, match="holds a space, a line break"):
        Connect(API, credentials=Credentials(*credentials), transport=transport).token("t", CON)

    assert asked == []


CHAIN = {
    "a token file that is not there": {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token",
    },
    "a container's address elsewhere": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/x"},
    "a container's token with a line break": {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary\r\n",
    },
    "a number that is none": {"AWS_METADATA_SERVICE_NUM_ATTEMPTS": ""},
    "a time that is none": {
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "AWS_CREDENTIAL_EXPIRATION": "tomorrow",
    },
}
PROCESSES = ["/nowhere/command", "/bin/echo canary", '/bin/echo "canary']


def refusal(monkeypatch: pytest.MonkeyPatch, home: Path) -> errors.NoCredentials:
    """What a call says on a machine whose home folder this is."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    transport = httpx.MockTransport(lambda _: pytest.fail("sent"))
    with pytest.raises(errors.NoCredentials) as refused:
        Connect(API, transport=transport).token("t", CON)
    assert "canary" not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("way", CHAIN)
def test_what_botocore_does_not_expect_in_a_variable_is_told_with_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    for name, value in CHAIN[way].items():
        monkeypatch.setenv(name, value)

    assert list(CHAIN[way])[-1] in str(refusal(monkeypatch, tmp_path))


@pytest.mark.parametrize("command", PROCESSES)
def test_a_command_of_a_profile_that_gives_no_credentials_names_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(f"[default]\ncredential_process = {command}\n")
    assert "~/.aws/config" in str(refusal(monkeypatch, tmp_path))


def test_a_key_log_that_can_t_be_written_is_named_and_not_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")

    with pytest.raises(errors.BadSetting, match="SSLKEYLOGFILE names a file that can't be written"):
        Connect(API, credentials=KEYS)


@pytest.mark.parametrize(
    "url",
    [
        API + "\n", "\r" + API, "https://", "https://host:port", "https://a b.example", "https://[::1",
        "https://a..example", f"https://{'a' * 64}.example", "https://xn--a.example", "https://.example", "https://*.example",
        "https://{id}.execute-api.eu-west-1.amazonaws.com", "https://user:canary@b.example", "https://b.example?stage=1",
        "https://b.example#x", "https://b.example:99999", "https://b.example:0", "<https://b.example>",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ValueError, match="api_url") as refused:
        Connect(url, region="eu-west-1", credentials=KEYS)

    assert "canary" not in str(refused.value)


def test_a_request_that_can_t_be_written_was_not_sent() -> None:
    asked: list[int] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        raise httpx.LocalProtocolError("Illegal header value b'secret'", request=request)

    connect = Connect(API, credentials=KEYS, transport=httpx.MockTransport(refuse))
    with pytest.raises(errors.NotSent) as refused:
        connect.open_session("t", end_user_id="a", tenant_name="T", return_to="main")

    assert "secret" not in str(refused.value)


# Certificates ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A broker behind a certificate of its own making, as behind a proxy that intercepts TLS."""
    certificate, key = certified(tmp_path)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    with create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as there:
        listener.settimeout(0.05)
        over = Event()

        def answer() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    talker, _ = listener.accept()
                    with suppress(OSError), talker, secure.wrap_socket(talker, server_side=True) as spoken:
                        spoken.recv(65_536)
                        body = b'{"connections": [], "cursor": null}'
                        spoken.sendall(
                            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                            % (len(body), body)
                        )

        there.submit(answer)
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", certificate
        over.set()


def listed(url: str) -> list[object]:
    with Connect(url, region="eu-west-1", credentials=KEYS) as connect:
        return list(connect.connections("t"))


def test_a_certificate_that_is_not_trusted_is_said_once_and_nothing_is_sent(broker: tuple[str, Path]) -> None:
    with pytest.raises(errors.Distrusted, match=r"certificate shown for 127\.0\.0\.1 is not trusted.*AWS_CA_BUNDLE"):
        listed(broker[0])


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_authorities_that_the_environment_names_are_trusted(
    monkeypatch: pytest.MonkeyPatch, broker: tuple[str, Path], name: str
) -> None:
    monkeypatch.setenv(name, str(broker[1]))

    assert listed(broker[0]) == []


@pytest.mark.parametrize("name", environment.BUNDLES)
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_can_t_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: str | None
) -> None:
    file = tmp_path / "bundle.pem"
    if content:
        file.write_text(content)
    monkeypatch.setenv(name, str(file))

    with pytest.raises(errors.BadSetting, match=f"^{name} names a file"):
        Connect(API, credentials=KEYS)


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    with pytest.raises(errors.NotReached, match="asked through the proxy that HTTPS_PROXY names"):
        Connect(API, credentials=KEYS, max_wait=0).token("t", CON)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nMIIB\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
)
def test_a_bundle_without_a_certificate_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bundle.pem"
    file.write_text(content)

    with pytest.raises(errors.BadSetting, match="AWS_CA_BUNDLE names a file without a certificate"):
        environment.ssl_context({"AWS_CA_BUNDLE": str(file)})


def test_a_folder_that_openssl_finds_nothing_in_is_named(tmp_path: Path) -> None:
    """Otherwise nobody would be trusted, and the network would be blamed."""
    certificate, _ = certified(tmp_path)

    with pytest.raises(errors.BadSetting, match="SSL_CERT_DIR names a folder without a certificate"):
        environment.ssl_context({"SSL_CERT_DIR": str(tmp_path)})

    certificate.rename(tmp_path / "0a1b2c3d.0")
    environment.ssl_context({"SSL_CERT_DIR": str(tmp_path)})


def test_a_path_that_is_none_is_not_there() -> None:
    with pytest.raises(errors.BadSetting, match="AWS_CA_BUNDLE names a file that is not there"):
        environment.ssl_context({"AWS_CA_BUNDLE": "/etc/ssl/\0certs"})
