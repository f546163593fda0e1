"""Deploy the real template with the real SAM CLI on an AWS that others wrote, and use it: ``make rehearse``.

Read it in this order: `environment` (where things are), `authority` (TLS), `ninjaone` (the emulator behind it),
`cloud` (MiniStack) with `adjustments` (where it is not AWS), `deploy`, `people` (a browser and a backend), `steps`
(what is shown) and `__main__` (the run).
"""
