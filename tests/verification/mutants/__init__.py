"""Every safeguard of the broker, taken away one at a time: the simulation must notice each."""
