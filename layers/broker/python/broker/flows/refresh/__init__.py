"""Refresh tokens before they expire: a batch of connections, one connection, saving what NinjaOne answered."""
