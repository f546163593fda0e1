"""Faults of AWS, and of the process itself."""

from botocore.exceptions import ClientError

from tests.verification.faults.host import Killed
from tests.verification.faults.matrix import DUE, FRESH, LATER, LOST, NOT_YET, RECONNECT, UNAVAILABLE, Observed, Row
from tests.verification.faults.stage import EU, FOREVER, Stage

KMS = ("kms.Decrypt", "kms.GenerateDataKey")
ENABLED = "the operator enables the key"
DYNAMODB = ("dynamodb.GetItem", "dynamodb.BatchGetItem", "dynamodb.Query", "dynamodb.UpdateItem")


def refuse_saves(stage: Stage, times: int = FOREVER) -> None:
    """Refuse what only a save of new tokens of this connection says."""
    stage.refuse("dynamodb.UpdateItem", only=(":access", stage.subject.id), times=times)


def refuse_both(stage: Stage) -> None:
    refuse_saves(stage)
    stage.refuse("s3.PutObject")


def refuse_dynamodb(stage: Stage) -> None:
    for function in ("sweep", "refresh", "token"):
        stage.refuse(*DYNAMODB, by=function)


def refuse_kms(stage: Stage) -> None:
    stage.refuse(*KMS)
    stage.refuse(*KMS, by="token")


def disable_key(stage: Stage) -> None:
    """Answer as KMS does for a key that somebody disabled."""
    said = {"Error": {"Code": "DisabledException", "Message": "the key is disabled"}}
    for function in ("refresh", "token"):
        stage.refuse(*KMS, by=function, error=ClientError(said, "Decrypt"))  # type: ignore[arg-type]  # a part of one


def refuse_kms_later(stage: Stage) -> None:
    """KMS stops while NinjaOne answers."""
    stage.wire.answered = lambda _host: refuse_kms(stage)


def die(stage: Stage, moment: str) -> None:
    """Kill the process at its next request to the subject's host: before it leaves, or with the answer in hand."""

    def dies(host: str) -> None:
        if host == EU:
            stage.wire.clear()
            raise Killed

    setattr(stage.wire, moment, dies)


ROWS = (
    Row(
        "DynamoDB refuses one save",
        "Saves again, in the same invocation, under the same lease.",
        lambda stage: refuse_saves(stage, 1),
        Observed(valid=FRESH, said=("aws.failed",)),
    ),
    Row(
        "DynamoDB refuses every save of an invocation",
        "Puts the sealed tokens into S3; the next refresh puts them into the row and asks for no others.",
        refuse_saves,
        Observed(said=("aws.failed", "refresh.spilled", "refresh.rescued")),
        lasts=DUE,
    ),
    Row(
        "DynamoDB and S3 refuse every save of an invocation",
        "Tries until its time is up, writes the sealed token to the log, and later says that it was lost.",
        refuse_both,
        Observed(
            ended=NOT_YET,
            lost=LOST,
            heals=RECONNECT,
            said=("aws.failed", "refresh.unsaved", "dead", "refresh.verdict_doubted", "connection.needs_reauth"),
            shown=8,
        ),
        lasts=DUE,
    ),
    Row(
        "DynamoDB does not answer",
        "Can't read what it would refresh, so it asks NinjaOne for nothing.",
        refuse_dynamodb,
        Observed(
            valid=UNAVAILABLE,
            ended=UNAVAILABLE,
            said=("aws.failed", "sweep.shard_failed", "sweep.failed"),
            beside=LATER,
        ),
    ),
    Row(
        "KMS does not answer",
        "Stops before it takes a lease: NinjaOne is not asked, the row is as it was.",
        refuse_kms,
        Observed(valid=UNAVAILABLE, ended=NOT_YET, said=("aws.failed", "message.failed"), beside=LATER),
    ),
    Row(
        "The KMS key is disabled",
        "The same, and the alarm for refused calls fires; up to five minutes late, as data keys stay in memory.",
        disable_key,
        Observed(
            valid="500 `aws-refused`",
            ended=NOT_YET,
            heals=ENABLED,
            said=("aws.refused", "message.failed"),
            beside=LATER,
        ),
        heals=ENABLED,
    ),
    Row(
        "KMS stops answering once NinjaOne was asked",
        "Saves: the data keys were fetched before.",
        refuse_kms_later,
        Observed(valid=UNAVAILABLE, ended=UNAVAILABLE, beside=LATER),
    ),
    Row(
        "The process is killed before NinjaOne is asked",
        "The lease expires, and the next refresh presents the same token.",
        lambda stage: die(stage, "asked"),
        Observed(),
    ),
    Row(
        "The process is killed after NinjaOne replaced the token",
        "Presents the old token when the lease is over; two dead verdicts later it says that the token was lost.",
        lambda stage: die(stage, "answered"),
        Observed(
            ended=NOT_YET,
            lost=LOST,
            heals=RECONNECT,
            said=("dead", "refresh.verdict_doubted", "connection.needs_reauth"),
            shown=8,
        ),
    ),
)
