"""The refresh queues: refresh the connections of an order. No other function sends a refresh token to be exchanged."""

from broker.edge.worker import Broker, Context, queue, read_batch


def refresh(broker: Broker, body: str, context: Context) -> None:
    """Work one order; every request has ended when this returns."""
    order = read_batch(broker, body)
    if order is not None:
        broker.refresh(order, context.left)


handler = queue(refresh, warm=lambda broker: broker.refresh)
