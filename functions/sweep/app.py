"""Every minute: request the refresh of the connections that fall due before the next sweep."""

from broker.edge.worker import Broker, Context, schedule


def sweep(broker: Broker, _context: Context) -> None:
    """Query the due index and put batches on the queue. What a failed sweep leaves out is still due at the next."""
    broker.sweep()


handler = schedule(sweep, warm=lambda broker: broker.sweep)
