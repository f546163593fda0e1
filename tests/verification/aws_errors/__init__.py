"""What an error of AWS comes to: each one, in each call that a function makes, and the table of what was seen."""
