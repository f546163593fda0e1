"""How fast it starts, vends and refreshes, and what a refresh takes: ratios within one run, and counts."""
