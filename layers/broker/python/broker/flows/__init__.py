"""The use cases, one class each; every one reads in the order of its effects."""
