"""The broker: everything the functions share, in floors that only look down.

edge        what a function may import: events in, answers out, the wiring
flows       the use cases, in the order of their effects
adapters    the doors to AWS, to NinjaOne and to the clock
config      what the operator chose
ninjaone    where NinjaOne differs        policy   decisions about time
oauth       RFC 6749, 7009 and 7636 messages as values
model       the nouns
errors      every error, by who must act             secret   a value that does not print
"""
