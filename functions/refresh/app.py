"""The refresh queues: refresh the connections of a batch. No other function sends a refresh token to be exchanged."""

from broker.edge.worker import Broker, Context, queue, read_batch


def refresh(broker: Broker, body: str, context: Context) -> None:
    """Refresh one batch. No request to NinjaOne is in flight any more when this returns."""
    batch = read_batch(broker, body)
    if batch is not None:
        broker.refresh(batch, context.seconds_left)


handler = queue(refresh, warm=lambda broker: broker.refresh)
