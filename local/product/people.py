"""Who may sign in: two customers of Tidewater, two people each. Choosing a name is the whole sign-in."""

from dataclasses import dataclass

PRODUCT_NAME = "Tidewater"


@dataclass(frozen=True)
class Tenant:
    """One customer of the SaaS; ``id`` is what the broker knows it by."""

    id: str
    name: str


@dataclass(frozen=True)
class User:
    """One person; ``id`` is the broker's ``end_user_id``."""

    id: str
    name: str
    tenant: Tenant


NORTHWIND = Tenant("northwind", "Northwind IT Services")
SOUTHGATE = Tenant("southgate", "Southgate Clinics")

USERS = {
    user.id: user
    for user in (
        User("ana", "Ana Lindqvist", NORTHWIND),
        User("ben", "Ben Okafor", NORTHWIND),
        User("chloe", "Chloe Marchetti", SOUTHGATE),
        User("dev", "Dev Raman", SOUTHGATE),
    )
}
