"""Arbitrary bytes for every parser that reads what others wrote: briefly in the tests, at length by ``make fuzz``."""
