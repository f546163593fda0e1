"""What the sample events of events/ get as an answer: a status, or the items that are to come again."""

ANSWERS = {
    "session": 201,
    "connect": 410,  # nobody opened that session
    "connect-elsewhere": 404,
    "authorize": 410,
    "authorize-secret": 410,
    "callback": 303,  # to a page that says why not
    "callback-denied": 303,
    "complete": 403,
    "complete-approve": 404,
    "complete-unattended": ["059f36b4-87a3-44ab-83d2-661975830a7d"],
    "token": 404,
    "proxy": 404,
    "connections": 200,
    "connections-one": 404,
    "disconnect": 404,
    "sweep": None,
    "refresh": [],  # a connection that is no more is no failure
    "notify": [],
}
