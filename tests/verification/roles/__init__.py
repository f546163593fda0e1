"""Every function under exactly its role: what it must be able to do, what it must not, and nothing in between."""
