"""How fast it starts, gives tokens and refreshes, and what a refresh takes: ratios within one run, and counts."""
