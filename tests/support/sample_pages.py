"""Pages as the broker makes them: every kind, for two brands."""

import base64
from dataclasses import replace

from broker.edge import pages
from broker.edge.pages import Brand, Choice, ConnectPage, HostProblem, Notice, Page, SecretPage
from broker.errors import Fault

CONNECT = "https://connect.acme-psa.example"
SESSION = "ses_abcdefghijklmnopqrstuvwxyz"

_MARK = """<svg xmlns="http://www.w3.org/2000/svg" width="132" height="32">
<rect width="132" height="32" rx="8" fill="#7a1fa2"/>
<path d="M12 22 20 9l8 13zM40 12h76v8H40z" fill="#fff"/></svg>"""

PLAIN = Brand(product="Acme PSA", support="help@acme-psa.example", accent="#0b5fff", logo="")
BRANDED = Brand(
    product="Yellow Helpdesk for Managed Service Providers",
    support="https://yellow.example/help",
    accent="#ffd400",
    logo="data:image/svg+xml;base64," + base64.b64encode(_MARK.encode()).decode(),
)

CHOICES = (
    Choice("app", "North America", "app.ninjarmm.com"),
    Choice("us2", "United States (US2)", "us2.ninjarmm.com"),
    Choice("eu", "Europe", "eu.ninjarmm.com"),
    Choice("ca", "Canada", "ca.ninjarmm.com"),
    Choice("oc", "Oceania", "oc.ninjarmm.com"),
    Choice("jp", "Japan", "jp.ninjarmm.com"),
    Choice("fed", "US government (FedRAMP)", "fed.ninjarmm.com"),
)

OPERATORS_APP = ConnectPage(
    session=SESSION,
    tenant_name="Contoso Managed Services",
    label="",
    scopes=("monitoring", "offline_access"),
    choices=CHOICES[2:3],
)

OWN_APP = ConnectPage(
    session=SESSION,
    tenant_name="Contoso Managed Services",
    label="Main account",
    scopes=("monitoring", "management", "control", "offline_access"),
    choices=CHOICES,
    branded_suffixes=("rmmservice.com", "rmmservice.eu", "rmmservice.ca"),
    own_app=True,
    needs_credentials=True,
    redirect_uris={key: f"{CONNECT}/callback/{key}" for key in (*(c.key for c in CHOICES), "branded")},
)

FAULTY = replace(
    OWN_APP,
    chosen="branded",
    typed={"subdomain": "our host", "suffix": "rmmservice.eu", "client_id": "Xr6YAvcfxC"},
    faults=(
        Fault("subdomain", "Write only the first part of your address: letters, digits and hyphens."),
        Fault("client_secret", "Enter the client secret."),
    ),
)

HARSH = replace(OWN_APP, tenant_name="W" * 80, label="مرحبا " * 13, reconnect=True, chosen="eu")

NEW_SECRET = SecretPage(
    session=SESSION,
    tenant_name="Contoso Managed Services",
    label="Main account",
    account="Contoso, Fabrikam and 3 more",
    region="Europe",
    host="eu.ninjarmm.com",
    client_id="Xr6YAvcfxC",
)

_API_GATEWAY = "https://abc1234567.execute-api.eu-west-1.amazonaws.com"


def connect_pages() -> dict[str, Page]:
    """Every state of the connect page, by a name that can be a file's."""
    long_uris = {key: f"{_API_GATEWAY}/callback/{key}" for key in OWN_APP.redirect_uris}
    return {
        "operators-app": pages.connect_page(PLAIN, OPERATORS_APP),
        "approval": pages.connect_page(PLAIN, replace(OPERATORS_APP, approval=True)),
        "regions": pages.connect_page(PLAIN, replace(OPERATORS_APP, choices=CHOICES)),
        "own-app": pages.connect_page(PLAIN, OWN_APP),
        "own-app-chosen": pages.connect_page(BRANDED, replace(OWN_APP, chosen="eu", redirect_uris=long_uris)),
        "faulty": pages.connect_page(PLAIN, FAULTY),
        "harsh": pages.connect_page(BRANDED, HARSH),
        "unknown-client": pages.host_problem(
            PLAIN, replace(OWN_APP, chosen="us2"), HostProblem.UNKNOWN_CLIENT, "us2.ninjarmm.com"
        ),
        "unknown-operators-client": pages.host_problem(
            PLAIN, OPERATORS_APP, HostProblem.UNKNOWN_CLIENT, "eu.ninjarmm.com"
        ),
        "new-secret": pages.secret_page(PLAIN, NEW_SECRET),
        "wrong-secret": pages.secret_page(
            BRANDED, replace(NEW_SECRET, faults=(Fault("client_secret", "NinjaOne refuses this secret."),))
        ),
        "unreachable": pages.host_problem(
            BRANDED, replace(OPERATORS_APP, chosen="eu"), HostProblem.UNREACHABLE, "eu.ninjarmm.com"
        ),
    }


def notices() -> dict[str, Page]:
    """Every notice, with the button and the reference that the broker adds."""
    return {
        kind.slug: pages.notice(
            PLAIN,
            kind,
            reference="K7QF-2M6P",
            back="" if kind is Notice.AWAITING_APPROVAL else "https://app.acme-psa.example/ninjaone/return",
        )
        for kind in Notice
    }
