"""API Gateway's HTTP APIs on loopback: routes and limits, payload format 2.0, and SigV4."""
