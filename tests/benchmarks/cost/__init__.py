"""What a month costs, from units that were measured and a dated list of prices."""
