"""The showroom: what happens behind the integration, and switches that make it go wrong."""
