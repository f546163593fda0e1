"""Every minute: request the refresh of what falls due until the next sweep."""

from broker.edge.worker import Broker, Context, schedule


def sweep(broker: Broker, _context: Context) -> None:
    """Query the due index and put requests on the queue. A failed sweep is made good by the next."""
    broker.sweep()


handler = schedule(sweep, warm=lambda broker: broker.sweep)
