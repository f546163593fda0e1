"""What a function may import: entries for browsers (``browser``), backends (``api``) and queues (``worker``)."""
