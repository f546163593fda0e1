"""`ninjaone-connect`, the command line for operators. No command but `token` shows a secret."""

__version__ = "1.0.0"
