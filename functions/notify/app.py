"""The connections table's stream: publish what happened to connections on the event bus."""

from broker.edge.worker import Broker, Change, stream


def notify(broker: Broker, changes: list[Change]) -> str | None:
    """Publish the changes in order. Lambda delivers the first that failed, and all after it, again."""
    return broker.notify(changes)


handler = stream(notify, warm=lambda broker: broker.notify)
