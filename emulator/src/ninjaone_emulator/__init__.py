"""NinjaOne, simulated: every regional host and a branded one, as far as public material shows them.

`NinjaOne` is the whole of it without HTTP; `ninjaone_emulator.http_app` serves it; `seed` fills it.

Each behaviour, its grade and its section of docs/understand/ninjaone.md. P is NinjaOne's own, E its people's, L seen
live, C a client's word, I inferred, ? a guess behind a switch or in the tables of errors.py.

    behaviour                                                               grade  section
    ----------------------------------------------------------------------  -----  -------
    metadata at /.well-known/oauth-authorization-server, byte for byte      P      §1
    /.well-known/openid-configuration answers 404; no whoami                P      §1, §6
    /oauth/* answers as /ws/oauth/* does, and can go away                   L      §1
    authorize: unknown client or API Services app is a 404 at once          L      §1, §8
    authorize: a known client without a session goes to sign-in             L      §1
    authorize: redirect mismatch, after sign-in, ends on a JSON 404         L      §7, §8
    authorize: a scope the app lacks ends on the error page, or returns     ?      §8, U7
    authorize: other faults of the request end on the error page            ?      §8, U4
    consent page: app, email, permissions, remember, authorize, deny        P      §7
    a remembered decision is not asked for again                            I      §7
    deny returns access_denied with the state, or does not return           ?      §7, U6
    redirect URIs match byte for byte; Native apps may take any port        L      §7
    ordinary apps serve their own tenant, official ones every tenant        I      §9 U18
    a client lives on one host, and is a 404 elsewhere                      L      §2, §8
    a branded host shares its region's apps and tokens, or not              ?      §2, U17
    token: secret in the body, or HTTP Basic                                P      §1
    token: a JSON body is refused                                           ?      §1
    codes live 60 seconds and work once                                     E      §1
    codes are bound to client, redirect URI and challenge                   E      §1, §7
    S256 is enforced when a challenge was sent                              C      §1, U14
    code and refresh token begin with the grant's uuid; 80 characters       L      §3
    access tokens are opaque and live 3600 seconds                          P      §3
    a refresh token needs offline_access and the box                        P      §4
    rotation is strict, or one of four other modes                          C      §3, U1, U3
    consent ends after 30 days, or slides                                   I      §3, U2
    a refresh may narrow the scope and never widens it                      L      §3
    client_credentials: all scopes when none is named, no refresh token     P      §1, §3
    client_credentials with offline_access: refused on eu, not on ca        L      §4, U21
    a dead token is 400 {"error":"invalid_token"}, 25 bytes                 L      §8
    an unknown client is 404 "Client app not exist" with an incident id     L      §8
    a scope the app lacks is 400 "Invalid scope … for client"               L      §4, §8
    wrong secret, unticked box, missing parameters                          ?      §8, U4
    revocation as RFC 7009, or 404, or 405                                  ?      §1, U8
    a GET on the token endpoint is 405 FAILURE                              L      §1
    organizations are a bare array, paged by pageSize and after             P      §6
    six more families of lists, each paged in its own way                   C      §12
    /v2 and /api/v2 serve the same                                          L      §6
    API errors missing_header, invalid_header, not_authenticated            L      §8
    insufficient_privileges, user_context_required                          C      §6, §8
    x-nj-request-id and Server: Grizzly on the API                          L      §6
    rate limits as 429 or as HTML with 200; nginx pages                     L      §5, §8
    what edits by administrators do to tokens                               ?      §9 U9
"""

from ninjaone_emulator.message import Reply
from ninjaone_emulator.seed import seed
from ninjaone_emulator.server import NinjaOne
from ninjaone_emulator.switches import Switches

__all__ = ["NinjaOne", "Reply", "Switches", "seed"]
