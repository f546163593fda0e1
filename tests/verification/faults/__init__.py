"""What happens when something fails: each fault against the real handlers, and the table of what was seen."""
