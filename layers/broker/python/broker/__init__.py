"""The broker: everything that the functions share, in layers that import downwards only.

edge         what a function may import: events in, answers out, the wiring
flows        the use cases; each reads in the order of its effects
adapters     calls to AWS and NinjaOne, the clock, the log
config       the operator's settings
proxy_policy  which calls of NinjaOne the proxy may forward
ninjaone     NinjaOne's hosts, scopes and answers
policy       when sessions end, refreshes are due and consent is believed to have ended
oauth        messages of RFC 6749, 7009 and 7636 as values
model        identifiers, sessions, connections
text         which characters a one-line text may hold
errors       every error, grouped by who must act
secret       a value that is never printed
"""
