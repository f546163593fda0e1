"""Everything outside the process: AWS, NinjaOne, the clock, the log. Tests make each of them fail."""
