"""The doors: AWS, NinjaOne, the clock, the log. Each can be made to fail."""
