"""Secrets at rest: exact bytes, one place for each sealed value, data keys kept for minutes."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.adapters import seal as sealing
from broker.adapters.aws import AwsClient
from broker.adapters.seal import DataKey, Seal, code_aad, context
from broker.config import Config
from broker.errors import AwsError, AwsRefused, AwsUnavailable, SealBroken
from broker.model import (
    AssociatedData,
    Binding,
    ConnectionId,
    ConnectionRef,
    Host,
    Purpose,
    SessionId,
    TenantId,
)
from broker.secret import Secret
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults, unreachable
from tests.support.broker_world import Clock
from tests.support.full_rows import SESSION
from tools.requirements import req

VECTORS = json.loads((Path(__file__).parent / "seal.json").read_text(encoding="utf-8"))
HERE = ConnectionRef(TenantId("acme"), ConnectionId("con_a")).aad(1)


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["name"])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def spot_of(vector: dict[str, Any]) -> AssociatedData:
    return AssociatedData(vector["table"], vector["tenant"], vector["row"], vector["version"])


def broken(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "Decrypt")


# Exact bytes ----------------------------------------------------------------------------------------------------------


@req("J01")
def test_a_value_is_sealed_to_these_bytes(vector: dict[str, Any], aws: AwsAccount, clock: Clock) -> None:
    """Whoever changes the format changes these vectors, and with them every row in every deployed table."""
    seal = Seal(AwsClient("kms", aws.client("kms")), "", clock, lambda _: bytes.fromhex(vector["nonce"]))
    key = DataKey(
        Purpose(vector["purpose"]), bytes.fromhex(vector["wrapped"]), bytes.fromhex(vector["data_key"]), clock.now()
    )

    sealed = seal.seal(key, Secret(vector["secret"]), spot_of(vector))

    assert sealed.hex() == vector["sealed"]
    assert spot_of(vector).bytes(key.purpose).hex() == vector["place"]


def test_these_bytes_open_to_the_value(vector: dict[str, Any], aws: AwsAccount, clock: Clock) -> None:
    seal, purpose = (
        Seal(AwsClient("kms", aws.client("kms")), "", clock, Random(1).randbytes),
        Purpose(vector["purpose"]),
    )

    with Stubber(aws.client("kms")) as kms:
        kms.add_response(
            "decrypt",
            {"Plaintext": bytes.fromhex(vector["data_key"])},
            {"CiphertextBlob": bytes.fromhex(vector["wrapped"]), "EncryptionContext": dict(context(purpose))},
        )
        opened = seal.open(bytes.fromhex(vector["sealed"]), purpose, spot_of(vector))

    assert opened == Secret(vector["secret"])


@req("J01")
def test_the_same_value_is_sealed_differently_each_time(seal: Seal) -> None:
    key = seal.data_key(Purpose.ACCESS)

    assert len({seal.seal(key, Secret("token"), HERE) for _ in range(50)}) == 50


def test_a_data_key_does_not_print(seal: Seal) -> None:
    key = seal.data_key(Purpose.ACCESS)

    assert key.key.hex() not in repr(key)
    assert repr(key.key) not in repr(key)


# One place ------------------------------------------------------------------------------------------------------------

PLACES = [
    *(
        AssociatedData("connections", *host)
        for host in product(("acme", "globex"), ("con_a", "con_b"), (0, 1, 2))
    ),
    *(AssociatedData("sessions", *host) for host in product(("", "acme"), ("ses_a", "con_a"), (0, 1))),
]  # fmt: skip


@req("J03")
@pytest.mark.parametrize("purpose", Purpose)
def test_a_sealed_value_opens_at_its_own_place_alone(seal: Seal, purpose: Purpose) -> None:
    """Whoever can write the table can swap values between rows, tenants, generations and tables: none opens."""
    sealed = {spot: seal.seal(seal.data_key(purpose), Secret("token"), spot) for spot in PLACES}

    opened = {(spot, other) for spot in PLACES for other in PLACES if opens(seal, sealed[spot], purpose, other)}

    assert opened == {(spot, spot) for spot in PLACES}


@req("J03")
def test_a_purpose_is_in_the_place_too_whatever_the_data_key(seal: Seal, aws: AwsAccount, config: Config) -> None:
    """Had KMS let the key through, the cipher would still refuse."""
    key = seal.data_key(Purpose.REFRESH)
    sealed = seal.seal(key, Secret("token"), HERE)
    answer = {"Plaintext": key.key, "KeyId": config.seal_key}

    with Stubber(aws.client("kms")) as kms:
        kms.add_response("decrypt", answer)
        with pytest.raises(SealBroken):
            seal.open(sealed, Purpose.ACCESS, HERE)


def opens(seal: Seal, sealed: bytes, purpose: Purpose, spot: AssociatedData) -> bool:
    try:
        seal.open(sealed, purpose, spot)
    except SealBroken:
        return False
    return True


@req("J02")
def test_kms_sees_the_purpose_and_no_name() -> None:
    assert context(Purpose.REFRESH) == {"app": "ninjaone-connect", "purpose": "refresh"}


# Changed values -------------------------------------------------------------------------------------------------------


def test_a_value_that_is_cut_off_or_longer_does_not_open(seal: Seal) -> None:
    sealed = seal.seal(seal.data_key(Purpose.ACCESS), Secret("token"), HERE)

    for changed in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0", b"\0" + sealed):
        with pytest.raises(SealBroken):
            seal.open(changed, Purpose.ACCESS, HERE)


@pytest.mark.parametrize(
    "blob",
    [b"", b"\1", b"\1\0\0", b"\1\0\0" + bytes(40), b"\2\0\1" + bytes(40), b"\1\xff\xff" + bytes(40)],
)
def test_what_is_no_sealed_value_is_broken_and_kms_is_not_asked(seal: Seal, aws_faults: AwsFaults, blob: bytes) -> None:
    aws_faults.watch("kms.Decrypt")

    with pytest.raises(SealBroken):
        seal.open(blob, Purpose.ACCESS, HERE)

    assert aws_faults.asked["kms.Decrypt"] == 0


def test_a_value_that_is_no_text_is_broken(seal: Seal) -> None:
    key = seal.data_key(Purpose.ACCESS)
    whole = seal.seal(key, Secret(""), HERE)
    foreign = AESGCM(key.key).encrypt(bytes(12), b"\xff", HERE.bytes(Purpose.ACCESS))

    with pytest.raises(SealBroken) as broken_seal:
        seal.open(whole[: 3 + len(key.wrapped)] + bytes(12) + foreign, Purpose.ACCESS, HERE)
    assert broken_seal.value.__suppress_context__  # the cause quotes what was sealed


# KMS ------------------------------------------------------------------------------------------------------------------


def test_a_data_key_seals_for_five_minutes_and_one_purpose(seal: Seal, clock: Clock, aws_faults: AwsFaults) -> None:
    aws_faults.watch("kms.GenerateDataKey")

    first = seal.data_key(Purpose.ACCESS)
    clock.advance(299)
    again, other = seal.data_key(Purpose.ACCESS), seal.data_key(Purpose.REFRESH)
    clock.advance(1)
    later = seal.data_key(Purpose.ACCESS)

    assert first.wrapped == again.wrapped
    assert len({first.wrapped, other.wrapped, later.wrapped}) == 3
    assert aws_faults.asked["kms.GenerateDataKey"] == 3


def test_a_data_key_seals_a_limited_number_of_values(
    seal: Seal, aws_faults: AwsFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "KEY_USES", 3)
    aws_faults.watch("kms.GenerateDataKey")

    keys = [seal.data_key(Purpose.ACCESS).wrapped for _ in range(7)]

    assert [keys.count(key) for key in dict.fromkeys(keys)] == [3, 3, 1]


@req("J06")
def test_an_opened_data_key_is_kept_for_five_minutes(
    seal: Seal, clock: Clock, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    sealed = seal.seal(seal.data_key(Purpose.ACCESS), Secret("token"), HERE)
    reader = Seal(AwsClient("kms", aws.client("kms")), config.seal_key, clock, Random(1).randbytes)
    aws_faults.watch("kms.Decrypt")

    def ask() -> int:
        reader.open(sealed, Purpose.ACCESS, HERE)
        return aws_faults.asked["kms.Decrypt"]

    assert [ask(), ask()] == [1, 1]
    clock.advance(299)
    assert ask() == 1
    clock.advance(1)
    assert ask() == 2


def test_only_so_many_opened_data_keys_are_kept(
    seal: Seal, clock: Clock, aws: AwsAccount, config: Config, monkeypatch: pytest.MonkeyPatch, aws_faults: AwsFaults
) -> None:
    monkeypatch.setattr(sealing, "KEYS_KEPT", 2)
    monkeypatch.setattr(sealing, "KEY_USES", 1)
    sealed = [seal.seal(seal.data_key(Purpose.ACCESS), Secret("token"), HERE) for _ in range(3)]
    reader = Seal(AwsClient("kms", aws.client("kms")), config.seal_key, clock, Random(1).randbytes)
    aws_faults.watch("kms.Decrypt")

    for blob in (sealed[0], sealed[1], sealed[0], sealed[2], sealed[2], sealed[0]):
        reader.open(blob, Purpose.ACCESS, HERE)

    assert aws_faults.asked["kms.Decrypt"] == 4


def test_a_token_in_hand_is_sealed_with_kms_down(seal: Seal, aws_faults: AwsFaults) -> None:
    key = seal.data_key(Purpose.REFRESH)
    aws_faults.refuse("kms.GenerateDataKey", times=9, error=unreachable())
    aws_faults.refuse("kms.Decrypt", times=9, error=unreachable())

    sealed = seal.seal(key, Secret("token"), HERE)

    assert seal.open(sealed, Purpose.REFRESH, HERE) == Secret("token")


@pytest.mark.parametrize("call", ["kms.GenerateDataKey", "kms.Decrypt"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, AwsUnavailable),
        (unreachable(), AwsUnavailable),
        (broken("AccessDeniedException"), AwsRefused),
        (broken("DisabledException"), AwsRefused),
    ],
    ids=["throttled", "down", "denied", "disabled"],
)
def test_a_kms_that_does_not_answer_leaves_the_value_whole(
    seal: Seal, clock: Clock, aws_faults: AwsFaults, call: str, error: Exception | None, kind: type[AwsError]
) -> None:
    sealed = seal.seal(seal.data_key(Purpose.ACCESS), Secret("token"), HERE)
    clock.advance(300)
    aws_faults.refuse(call, error=error)
    calls: dict[str, Callable[[], object]] = {
        "kms.GenerateDataKey": lambda: seal.data_key(Purpose.ACCESS),
        "kms.Decrypt": lambda: seal.open(sealed, Purpose.ACCESS, HERE),
    }

    with pytest.raises(kind) as busy:
        calls[call]()

    assert "quote" not in str(busy.value)
    assert calls[call]() is not None


@pytest.mark.parametrize("code", ["InvalidCiphertextException", "IncorrectKeyException"])
def test_a_data_key_that_kms_does_not_know_is_broken(
    seal: Seal, clock: Clock, aws_faults: AwsFaults, code: str
) -> None:
    sealed = seal.seal(seal.data_key(Purpose.ACCESS), Secret("token"), HERE)
    clock.advance(300)
    aws_faults.refuse("kms.Decrypt", error=broken(code))

    with pytest.raises(SealBroken) as refused:
        seal.open(sealed, Purpose.ACCESS, HERE)
    assert refused.value.__suppress_context__


def test_many_values_under_one_data_key_ask_kms_once(
    seal: Seal, clock: Clock, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    sealed = [seal.seal(seal.data_key(Purpose.REFRESH), Secret(f"token {n}"), HERE) for n in range(5)]
    reader = Seal(AwsClient("kms", aws.client("kms")), config.seal_key, clock, Random(1).randbytes)
    aws_faults.watch("kms.Decrypt")

    reader.unwrap_keys([*sealed, b"", b"\1\0\5hello" + bytes(40)], Purpose.REFRESH)
    asked = aws_faults.asked["kms.Decrypt"]
    opened = [reader.open(blob, Purpose.REFRESH, HERE).reveal() for blob in sealed]

    assert opened == [f"token {n}" for n in range(5)]
    assert aws_faults.asked["kms.Decrypt"] == asked
    assert asked <= 3


CODE = replace(SESSION, connection=ConnectionId("con_a"))


@pytest.mark.parametrize(
    "change",
    [
        {"session": SessionId("ses_" + "c" * 26)},
        {"tenant": TenantId("globex")},
        {"end_user_hash": "another person"},
        {"binding_challenge": "another-challenge"},
        {"binding": Binding.APPROVAL},
        {"connection": ConnectionId("con_b")},
        {"connection": None},
        {"host": Host("us2", "us2.ninjarmm.com")},
        {"host": None},
        {"client_id": "another-client-app"},
    ],
    ids=lambda change: " ".join(map(str, *change.items())),
)
def test_a_code_has_another_place_for_whoever_rewrites_its_session(change: dict[str, Any]) -> None:
    assert code_aad(replace(CODE, **change), "ticket") != code_aad(CODE, "ticket") != code_aad(CODE, "another")
