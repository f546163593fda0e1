"""AWS on one machine: stores in memory, roles that are enforced, and what calls functions."""
