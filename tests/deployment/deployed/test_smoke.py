"""The smoke tests are known to run: what needs no AWS against the local product, the rest against what AWS would say.

That a deployed stack passes them, only a deployed stack shows: ``python -m tools.deployed --stack NAME``.
"""

import inspect
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from broker.config import Config
from local.cli_handle import cli_handle
from local.cloudformation.template import Template
from local.world import ROOT, World
from ninjaone_connect_cli.deployment import Deployment
from tests.deployment.deployed.simulated import Json, SimulatedAws
from tests.support.certificate import certified
from tools.deployed import account, way


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the product; give the folder from which it is found."""
    folder = tmp_path_factory.mktemp("clone")
    with World() as world, cli_handle(world, file=folder / ".local.json"):
        yield folder


def smoke(folder: Path) -> tuple[int, str, str]:
    """Run the command as its user does; give how it ended, its last line and all of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "tools.deployed", "--local"], cwd=folder, capture_output=True, text=True, check=False,
        env=kept | {"PYTHONPATH": f"{ROOT}"},
    )  # fmt: skip
    return ended.returncode, ended.stdout.strip().rpartition("\n")[2], ended.stdout + ended.stderr


def test_the_local_product_passes_what_needs_no_aws(running: Path) -> None:
    code, last, all_of_it = smoke(running)

    assert code == 0, all_of_it
    assert re.fullmatch(r"deployed: ([1-9][0-9]) of \1 shown", last)


def test_another_site_in_its_place_is_noticed(running: Path, tmp_path: Path) -> None:
    """The product's own site answers too, and not as the broker does."""
    said = json.loads((running / ".local.json").read_text())
    product = said["settings"]["RETURN_URLS"].partition("=")[2].partition("/ninjaone")[0]
    said["settings"]["CONNECT_URL"] = said["outputs"]["BackendApiUrl"] = product
    (tmp_path / ".local.json").write_text(json.dumps(said))

    code, last, all_of_it = smoke(tmp_path)

    assert code == 1, all_of_it
    assert last.startswith("deployed: 0 of ")


def test_without_anything_running_one_sentence_says_so(tmp_path: Path) -> None:
    code, _, said = smoke(tmp_path)

    assert (code, said.count("\n")) == (2, 1)
    assert "Nothing runs on this machine" in said


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve TLS 1.2 or later; give the address and the certificate."""
    certificate, key = certified(tmp_path)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    made.minimum_version = ssl.TLSVersion.TLSv1_2

    def answer() -> None:
        talker, _ = listener.accept()
        with talker, suppress(OSError):
            made.wrap_socket(talker, server_side=True).close()

    with create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as there:
        there.submit(answer)
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", certificate


def test_a_handshake_says_what_was_agreed_on(secure: tuple[str, Path]) -> None:
    address, certificate = secure

    assert way.handshake(address, ssl.create_default_context(cafile=certificate)) == "TLSv1.3"


def test_a_handshake_in_older_tls_is_refused(secure: tuple[str, Path]) -> None:
    address, _ = secure

    with pytest.raises(OSError, match=way.REFUSED):
        way.handshake(address, way.old_tls())


def test_a_handshake_with_a_host_that_does_not_prove_its_name_is_refused(secure: tuple[str, Path]) -> None:
    address, _ = secure

    with pytest.raises(ssl.SSLCertVerificationError):
        way.handshake(address, ssl.create_default_context())


# What AWS says --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(template: Template, config: Config) -> SimulatedAws:
    """One account for the module: making its clients takes longer than all that is asked of them."""
    return SimulatedAws(template, replace(config, connect_url="https://connect.example"))


@pytest.fixture
def simulated(told: SimulatedAws) -> SimulatedAws:
    """The account, with nothing planted."""
    told.changes.clear()
    return told


def checks() -> Iterator[tuple[str, dict[str, Any]]]:
    """List every check of AWS's answers with each of its parameters."""
    for name, check in inspect.getmembers(account, inspect.isfunction):
        if name.startswith("test_"):
            marks = [mark for mark in getattr(check, "pytestmark", []) if mark.name == "parametrize"]
            yield from ((name, each) for each in (parameters(*marks[0].args) if marks else [{}]))


def parameters(names: str | tuple[str, ...], values: Any) -> Iterator[dict[str, Any]]:
    for value in values:
        yield {names: value} if isinstance(names, str) else dict(zip(names, value, strict=True))


def test_a_stack_that_is_what_the_template_says_passes(simulated: SimulatedAws) -> None:
    deployment = simulated.deployment

    ran = [getattr(account, name)(deployment, **more) for name, more in checks()]

    assert len(ran) > 40


def stage(answer: Json) -> Json:
    found: Json = answer["Items"][0]
    return found


FOREIGN_LAYER = "arn:aws:lambda:eu-west-1:999999999999:layer:convenient:1"
FAULTS: dict[str, Callable[[Json], object]] = {
    "GetApi": lambda answer: answer.update(DisableExecuteApiEndpoint=True),
    "GetRoutes": lambda answer: answer["Items"][0].update(AuthorizationType="NONE"),
    "GetStages": lambda answer: stage(answer)["AccessLogSettings"].update(Format='{"path": "$context.path"}'),
    "GetFunctionConfiguration": lambda answer: answer.update(Layers=[{"Arn": FOREIGN_LAYER}]),
    "GetFunctionConcurrency": lambda answer: answer.update(ReservedConcurrentExecutions=7),
    "GetPolicy": lambda answer: answer.update(Policy=answer["Policy"].replace("apigateway", "events")),
    "SimulatePrincipalPolicy": lambda answer: answer["EvaluationResults"][0].update(EvalDecision="allowed"),
    "DescribeTable": lambda answer: answer["Table"].update(DeletionProtectionEnabled=False),
    "DescribeContinuousBackups": lambda answer: answer["ContinuousBackupsDescription"].update(
        PointInTimeRecoveryDescription={"PointInTimeRecoveryStatus": "DISABLED"}
    ),
    "DescribeTimeToLive": lambda answer: answer["TimeToLiveDescription"].update(TimeToLiveStatus="DISABLED"),
    "DescribeKey": lambda answer: answer["KeyMetadata"].update(KeyManager="AWS"),
    "GetKeyRotationStatus": lambda answer: answer.update(KeyRotationEnabled=False),
    "GetKeyPolicy": lambda answer: answer.update(Policy=answer["Policy"].replace("Deny", "Allow")),
    "GetBucketLifecycleConfiguration": lambda answer: answer["Rules"][0].update(Status="Disabled"),
    "GetPublicAccessBlock": lambda answer: answer.update(PublicAccessBlockConfiguration={"BlockPublicAcls": False}),
    "GetQueueAttributes": lambda answer: answer["Attributes"].update(Policy="{}"),
    "DescribeLogGroups": lambda answer: answer["logGroups"][0].update(retentionInDays=0),
    "GetSecretValue": lambda answer: answer.update(SecretString='{"a client id": "ClientSecrets"}'),
}
"""For each call, an answer that is not as it should be."""


@pytest.mark.parametrize("operation", FAULTS)
def test_an_answer_that_is_not_as_it_should_be_is_noticed(simulated: SimulatedAws, operation: str) -> None:
    simulated.changes[operation] = FAULTS[operation]

    assert any(fails(simulated.deployment, name, more) for name, more in checks())


def fails(deployment: Deployment, name: str, more: dict[str, Any]) -> bool:
    """Say whether a check fails, as pytest would say it."""
    try:
        getattr(account, name)(deployment, **more)
    except (AssertionError, ValueError):
        return True
    return False
