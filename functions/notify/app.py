"""The connections table's stream: tell the event bus what happened to connections."""

from broker.edge.worker import Broker, Change, stream


def notify(broker: Broker, changes: list[Change]) -> str | None:
    """Tell what happened, in order. What was not told comes again, and all after it."""
    return broker.notify(changes)


handler = stream(notify, warm=lambda broker: broker.notify)
