"""What the template's resources are to the local world: plain values with physical names."""

from collections.abc import Mapping
from dataclasses import dataclass

from local.iam import Statement


@dataclass(frozen=True)
class Route:
    """One method and path of an HTTP API.

    Attributes:
        api: the API's id
        method: `ANY` for every one
        path: `$default` for whatever no other route takes
        signed: SigV4 is asked for
    """

    api: str
    method: str
    path: str
    signed: bool

    @property
    def key(self) -> str:
        """The route key, as events say it."""
        return self.path if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True)
class EventSourceMapping:
    """An event source mapping: a queue or a table's stream that calls a function.

    Attributes:
        function: its name or ARN
        source: ARN of the queue or stream
        concurrency: batches of a queue at once; 0 says nothing
        retries: how often a failing batch of a stream is tried again, -1 for ever
        failures: ARN of the queue that gets a stream's batches given up, or empty
    """

    logical_id: str
    function: str
    source: str
    batch_size: int
    reports_failures: bool
    concurrency: int
    retries: int
    failures: str


@dataclass(frozen=True)
class Schedule:
    """A clock that calls a function.

    Attributes:
        seconds: from one call to the next
    """

    name: str
    seconds: int
    enabled: bool
    input: str


@dataclass(frozen=True)
class Function:
    """One Lambda function.

    Attributes:
        folder: `functions/NAME` without `functions/`
        timeout: seconds
        memory: megabytes
        concurrency: the most that run at once, None for no limit of its own
        statements: its role, without what the platform itself needs
    """

    logical_id: str
    name: str
    arn: str
    folder: str
    handler: str
    timeout: int
    memory: int
    concurrency: int | None
    environment: Mapping[str, str]
    routes: tuple[Route, ...]
    schedules: tuple[Schedule, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Api:
    """One HTTP API.

    Attributes:
        endpoint: its address on AWS, which the local world replaces by its own
        signed: what a route asks for that says nothing
    """

    logical_id: str
    id: str
    endpoint: str
    signed: bool


@dataclass(frozen=True)
class Index:
    """A global secondary index."""

    name: str
    hash_key: str
    range_key: str
    projection: str


@dataclass(frozen=True)
class Table:
    """A DynamoDB table.

    Attributes:
        types: attribute name → S, N or B, of the key attributes
        ttl: the attribute with the time to live, or empty
        stream: the stream's view type, or empty
    """

    logical_id: str
    name: str
    arn: str
    hash_key: str
    range_key: str
    types: Mapping[str, str]
    indexes: tuple[Index, ...]
    ttl: str
    stream: str
    stream_arn: str
    encrypted: bool

    def index(self, name: str) -> Index:
        """Find an index; KeyError when there is none."""
        return {index.name: index for index in self.indexes}[name]


@dataclass(frozen=True)
class Queue:
    """An SQS queue.

    Attributes:
        visibility: seconds for which a received message is hidden
        retention: seconds for which a message is kept
        delay: seconds before a message is first seen
        dead_letters: ARN of the queue that takes what failed too often, or empty
        max_receives: how often is too often
    """

    logical_id: str
    name: str
    url: str
    arn: str
    visibility: int
    retention: int
    delay: int
    dead_letters: str
    max_receives: int


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket.

    Attributes:
        versioned: every version of an object is kept
    """

    logical_id: str
    name: str
    arn: str
    versioned: bool


@dataclass(frozen=True)
class Key:
    """A symmetric KMS key.

    Attributes:
        denials: what its own policy refuses to everybody, whatever their roles allow
    """

    logical_id: str
    id: str
    arn: str
    denials: tuple[Statement, ...]


@dataclass(frozen=True)
class Secret:
    """A secret of Secrets Manager.

    Attributes:
        value: its first one, or empty when it has none yet
    """

    logical_id: str
    name: str
    arn: str
    value: str


@dataclass(frozen=True)
class Parameter:
    """An SSM parameter."""

    logical_id: str
    name: str
    value: str
