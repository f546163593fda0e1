"""The people, tenants and client apps of the local NinjaOne. Nothing here exists anywhere else."""

from base64 import urlsafe_b64encode
from hashlib import sha512
from typing import NamedTuple

from ninjaone_emulator.hosts import BRANDED, REGIONS
from ninjaone_emulator.server import NinjaOne

OPERATOR_APP = "Tidewater"


class Credentials(NamedTuple):
    """A client id of 27 characters and a secret of 52, the lengths that NinjaOne gives out."""

    client_id: str
    client_secret: str


def _credentials(name: str) -> Credentials:
    """Make the same credentials for the same name, always."""
    text = urlsafe_b64encode(sha512(f"local ninjaone {name}".encode()).digest()).decode()
    return Credentials(text[:27], text[27:79])


OPERATOR_APPS = {region: _credentials(f"operator {region}") for region in REGIONS}
CUSTOMER_APPS = {region: _credentials(f"customer {region}") for region in ("eu", "oc", "branded")}


class Account(NamedTuple):
    """A tenant to open. Organization ids repeat between tenants, as NinjaOne counts them per tenant."""

    region: str
    name: str
    domain: str
    organizations: tuple[str, ...]


ACCOUNTS = (
    Account("app", "Northwind IT", "northwind.example", ("Harbor Dental", "Pine Street Legal")),
    Account("us2", "Cascade Managed", "cascade.example", ("Ridge Logistics", "Blue Mesa Clinic")),
    Account("eu", "Nordlicht Systemhaus", "nordlicht.example", ("Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß")),
    Account("eu", "Rhône Informatique", "rhone.example", ("Atelier Lumière", "Clinique du Parc")),
    Account("ca", "Maple Ridge Tech", "mapleridge.example", ("Laurier Foods", "Prairie Co-op")),
    Account("oc", "Southern Cross IT", "southerncross.example", ("Coral Bay Surveyors", "Outback Freight")),
    Account("jp", "Sakura Systems", "sakura.example", ("さくら歯科", "Minato Trading")),
    Account("fed", "Potomac Services", "potomac.example", ("Annapolis Records", "Shenandoah Water")),
    Account("branded", "Acme MSP", "acme.example", ("Roadrunner Couriers", "Canyon Supplies", "Desert Optics")),
)
TENANTS = {"eu": "Nordlicht Systemhaus", "oc": "Southern Cross IT", "branded": "Acme MSP"}


def seed(core: NinjaOne, redirect_base: str) -> None:
    """Fill NinjaOne with two people per tenant, the operator's app per region and three customers' own apps.

    Args:
        redirect_base: where the broker listens: its redirect URIs are {redirect_base}/callback/{region}
    """
    for account in ACCOUNTS:
        _open(core, account)
    for region, credentials in OPERATOR_APPS.items():
        _register_operator(core, redirect_base, region, credentials)
    for region, credentials in CUSTOMER_APPS.items():
        core.admin.register(
            f"{TENANTS[region]} app",
            TENANTS[region],
            redirects=[f"{redirect_base}/callback/{region}"],
            credentials=credentials,
        )


def _open(core: NinjaOne, account: Account) -> None:
    core.add_tenant(
        account.name,
        REGIONS.get(account.region, BRANDED),
        dict(enumerate(account.organizations, start=1)),
    )
    core.add_person(f"ada@{account.domain}", account.name, admin=True)
    core.add_person(f"bob@{account.domain}", account.name)


def _register_operator(core: NinjaOne, redirect_base: str, region: str, credentials: Credentials) -> None:
    """Register the vendor's official app, also for the branded hosts of its region."""
    vendor = f"{OPERATOR_APP} ({region})"
    core.add_tenant(vendor, REGIONS[region], {})
    core.admin.register(
        OPERATOR_APP,
        vendor,
        redirects=[f"{redirect_base}/callback/{region}", f"{redirect_base}/callback/branded"],
        official=True,
        credentials=credentials,
    )
