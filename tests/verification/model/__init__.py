"""An exhaustive explorer of the refresh protocol (docs/understand/refresh.md), and of the connect flow under attack.

`make model` visits every reachable state within a budget of faults, checks that the protocol breaks no
property, and that it does break the expected ones as soon as a safeguard is taken away.

What is modelled
    One connection; up to four invocations of the refresh function in one run, two of them at a time, in every
    interleaving. An invocation is a chain of named steps, one for each I/O point of the real code:

        read  open_token  data_keys  acquire  look_in_rescue  post  save
        and beside the way: sink  reread  strike  release

    Between two steps nothing can be observed, so a kill at any instruction equals a kill at a step. The row is
    linearizable (A2). The provider is one of four: static, strict, reuse_revoke, grace (`provider.py`).
    Faults, each with a budget: a kill; a request or a response lost; a request executed after its sender stopped
    listening; a store that does not do what it is asked, or does it and loses the answer; the rescue store down;
    a stale read; a lease that expires while its holder lives (where A1 is given up); a key missing; a provider in
    grace; a provider that calls a valid token dead.

What time has become
    There is no clock. Whatever the real system decides by time is a step that may or may not happen: a deadline is
    "does not try again", patience is "stops listening", a lease runs out at any moment at which its timing
    constraint lets it. A1 says that this is after its holder's death; A3 and the quarantine that it is after the
    last moment at which a request sent under it can be executed. The constraint itself (lease ≥ function timeout +
    quarantine + skew) is arithmetic and checked where the numbers are, in `policy.Timing`.

What must hold
    S1 … S6, in `variants.py`. Three losses are nobody's fault and excused: the response is lost after the commit;
    the holder of an unsaved token is killed; row and rescue store both refuse. They are excused one by one, at the
    very step that loses the last copy, and a test says that each of them is reached.

What is left out
    More than one connection, the due index, circuit breakers and when a verdict is believed (a held verdict is a
    step), a look into the rescue store before the lease (it decides nothing), the epoch of a restored table,
    `disconnect` and reconnect during a refresh; the content of tokens, of seals and of errors; liveness: that a
    refresh comes about at all once faults end. Budgets are small: two provider mistakes a minute apart make a false
    needs_reauth in any protocol that ever believes one. The model is not the code: a log of the code's I/O can be
    held against it with `replay.accepts`, and the simulation runs the code itself.

Where to read
    state     what is remembered            explore   every interleaving, the budgets, S1
    provider  the token endpoint            trace     a counterexample as a story
    rules     a protocol as a few flags     replay    is this log a run of the protocol?
    protocol  the steps and their faults    connect   the connect flow and its attacker
    fate      kills, leases, late requests  attacks   flows and the attacks they let through
    variants  protocols and what they break
"""
