"""All that a function may import: entries for people (``browser``), backends (``api``) and queues (``worker``)."""
