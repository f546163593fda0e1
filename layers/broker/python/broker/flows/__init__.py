"""The use cases, one for each privilege; each reads in the order of its effects."""
