"""The hosts NinjaOne answers on, and which of them are the same place (docs/understand/ninjaone.md §2)."""

from dataclasses import dataclass

REGIONS = {
    "app": "app.ninjarmm.com",
    "us2": "us2.ninjarmm.com",
    "eu": "eu.ninjarmm.com",
    "ca": "ca.ninjarmm.com",
    "oc": "oc.ninjarmm.com",
    "jp": "jp.ninjarmm.com",
    "fed": "fed.ninjarmm.com",
}
BRANDED = "acme.rmmservice.eu"

_VERSIONS = {"us2": "13.0.10", "ca": "13.0.10", "fed": "11.0.70"}


@dataclass(frozen=True)
class Host:
    """One host name.

    Attributes:
        alias_of: the regional host whose apps and tokens a branded host shares, while the switch says so
    """

    name: str
    version: str = "13.0.20"
    alias_of: str | None = None


def known_hosts() -> dict[str, Host]:
    """List the seven regional hosts and one branded one."""
    regional = {name: Host(name, _VERSIONS.get(key, "13.0.20")) for key, name in REGIONS.items()}
    return regional | {BRANDED: Host(BRANDED, alias_of=REGIONS["eu"])}
