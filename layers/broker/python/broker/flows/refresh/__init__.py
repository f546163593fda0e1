"""Refresh tokens before they expire: a batch, one connection, saving the new tokens, recording a failure."""
