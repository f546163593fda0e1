"""Request bodies and forms → values; every fault is named at once."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker import ninjaone
from broker.adapters.queues import read_completion
from broker.config import Config
from broker.edge.http import Request
from broker.errors import Fault, InvalidRequest
from broker.flows.complete import Proof
from broker.flows.open import Opening
from broker.model import Binding, Client, ConnectionId, Place, Seconds, SessionId, TenantId, connection_id
from broker.secret import Secret

LONGEST_MIN_TTL = Seconds(3000)
DEFAULT_MIN_TTL = Seconds(300)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_TICKET = re.compile(r"[A-Za-z0-9_-]{43}")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,256}")
_OPENING = frozenset(
    {
        "end_user_id", "binding", "binding_challenge", "return_to", "tenant_name", "region", "host", "scopes",
        "label", "metadata", "connection", "client", "client_credentials",
    }
)  # fmt: skip


class Fields:
    """A JSON object being read, and what is wrong with it."""

    def __init__(self, request: Request, known: frozenset[str]) -> None:
        self.faults: list[Fault] = []
        self._held = self._object(request)
        for name in sorted(set(self._held) - known):
            self.faults.append(Fault(name[:40], "This field is not known. Remove it."))

    def _object(self, request: Request) -> Mapping[str, Any]:
        if request.body is None:
            raise InvalidRequest(Fault("body", "Send at most 16 KB of JSON."))
        try:
            held = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            raise InvalidRequest(Fault("body", "Send a JSON object.")) from None
        if not isinstance(held, dict):
            raise InvalidRequest(Fault("body", "Send a JSON object."))
        return held

    def has(self, name: str) -> bool:
        return self._held.get(name) is not None

    def text(self, name: str, *, longest: int, needed: bool = False) -> str:
        """Read a text; printable, of at least one character."""
        held = self._held.get(name)
        if held is None and not needed:
            return ""
        if not isinstance(held, str) or not 1 <= len(held) <= longest or not held.isprintable():
            self.fault(name, f"Give 1 to {longest} printable characters.")
            return ""
        return held

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        """Read a text of one form."""
        held = self._held.get(name)
        if not isinstance(held, str) or not pattern.fullmatch(held):
            self.fault(name, wanted)
            return ""
        return held

    def flag(self, name: str) -> bool:
        held = self._held.get(name, False)
        if not isinstance(held, bool):
            self.fault(name, "Give true or false.")
            return False
        return held

    def number(self, name: str, *, default: int, most: int) -> int:
        held = self._held.get(name, default)
        if not isinstance(held, int) or isinstance(held, bool) or not 0 <= held <= most:
            self.fault(name, f"Give a whole number from 0 to {most}.")
            return default
        return held

    def raw(self, name: str) -> Any:
        return self._held.get(name)

    def fault(self, name: str, message: str) -> None:
        self.faults.append(Fault(name, message))

    def check(self) -> None:
        """Raise what was found. Raises   InvalidRequest"""
        if self.faults:
            raise InvalidRequest(*self.faults)


def opening(config: Config, tenant: TenantId, request: Request) -> Opening:
    """Read the body of a new connect session. Raises   InvalidRequest"""
    body = Fields(request, _OPENING)
    binding = _binding(config, body)
    place = _place(config, body)
    own, client = _client(config, body, place)
    asked = Opening(
        tenant=tenant,
        tenant_name=body.text("tenant_name", longest=80, needed=True),
        end_user_id=body.text("end_user_id", longest=256, needed=True),
        binding=binding,
        challenge=_challenge(body, binding),
        return_to=body.text("return_to", longest=64, needed=True),
        scope=_scope(config, body),
        place=place,
        own=own,
        client=client,
        label=body.text("label", longest=80),
        metadata=_metadata(body),
        connection=_connection(body),
    )
    body.check()
    return asked


def completion(tenant: TenantId, request: Request) -> tuple[Proof, bool]:
    """Read the proof of the person, and whether another account is meant. Raises   InvalidRequest"""
    body = Fields(request, frozenset({"end_user_id", "ticket", "binding_verifier", "confirm_account_change"}))
    proof = Proof(
        tenant=tenant,
        end_user_id=body.text("end_user_id", longest=256, needed=True),
        ticket=Secret(body.matching("ticket", _TICKET, "Give the ticket of the return address as it came.")),
        verifier=Secret(
            body.matching("binding_verifier", _VERIFIER, "Give the verifier: 43 to 128 unreserved characters.")
        ),
    )
    confirmed = body.flag("confirm_account_change")
    body.check()
    return proof, confirmed


def session_to_complete(body: str) -> SessionId:
    """Read a message of the completion queue. Raises   InvalidRequest"""
    found = read_completion(body)
    if found is None:
        raise InvalidRequest(Fault("session", "The message names no connect session."))
    return found


def min_ttl(request: Request) -> Seconds:
    """Read how long a token must last. Raises   InvalidRequest"""
    body = Fields(request, frozenset({"min_ttl"}))
    found = Seconds(body.number("min_ttl", default=DEFAULT_MIN_TTL, most=LONGEST_MIN_TTL))
    body.check()
    return found


def page(request: Request) -> tuple[int, str | None]:
    """Read how many to list and after which. Raises   InvalidRequest"""
    limit, cursor = request.query("limit") or "50", request.query("cursor")
    faults = []
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:6]) <= 100):
        faults.append(Fault("limit", "Give a whole number from 1 to 100."))
    if cursor is not None and connection_id(cursor.partition("#")[0]) is None:
        faults.append(Fault("cursor", "Give the cursor of the page before as it came."))
    if faults:
        raise InvalidRequest(*faults)
    return int(limit), cursor


@dataclass(frozen=True)
class Form:
    """The form of the connect page; ``typed`` is what may be shown again."""

    place: Place | None
    client: Client | None
    go_anyway: bool
    faults: tuple[Fault, ...]
    typed: Mapping[str, str]


def form(config: Config, request: Request) -> Form:
    """Read the person's choice."""
    sent = request.form()
    faults: list[Fault] = []
    place = _chosen(config, sent, faults)
    client = _entered(sent, faults)
    typed = {name: sent[name][:200] for name in ("region", "subdomain", "suffix", "client_id") if name in sent}
    return Form(place, client, sent.get("go_anyway") == "yes", tuple(faults), typed)


def _chosen(config: Config, sent: Mapping[str, str], faults: list[Fault]) -> Place | None:
    region = sent.get("region", "")
    if region != ninjaone.BRANDED:
        place = ninjaone.region(region)
        if place is None:
            faults.append(Fault("region", "Choose the region of your NinjaOne account."))
        return place
    place = ninjaone.branded(sent.get("subdomain", "").lower(), sent.get("suffix", ""), config.branded_suffixes)
    if place is None:
        faults.append(Fault("subdomain", "Enter the first part of your NinjaOne address: letters, digits, hyphens."))
    return place


def _entered(sent: Mapping[str, str], faults: list[Fault]) -> Client | None:
    client_id, secret = sent.get("client_id", "").strip(), sent.get("client_secret", "").strip()
    if not client_id and not secret:
        return None
    if not _VISIBLE.fullmatch(client_id):
        faults.append(Fault("client_id", "Enter the client id as NinjaOne shows it."))
    if not _VISIBLE.fullmatch(secret):
        faults.append(Fault("client_secret", "Enter the client secret as NinjaOne showed it once."))
    return None if faults else Client(client_id, Secret(secret), own=True)


def _binding(config: Config, body: Fields) -> Binding:
    word = body.raw("binding") or Binding.SESSION.value
    if word not in set(Binding):
        body.fault("binding", "Give session or approval.")
        return Binding.SESSION
    binding = Binding(word)
    if binding is Binding.APPROVAL and not config.approval_binding:
        body.fault("binding", "The operator's parameter ApprovalBinding does not allow approval.")
    return binding


def _challenge(body: Fields, binding: Binding) -> str:
    if binding is Binding.APPROVAL:
        if body.has("binding_challenge"):
            body.fault("binding_challenge", "Leave it out with binding approval.")
        return ""
    return body.matching("binding_challenge", _CHALLENGE, "Give base64url(SHA-256(verifier)), 43 characters.")


def _place(config: Config, body: Fields) -> Place | None:
    if body.has("region") and body.has("host"):
        body.fault("host", "Give region or host, not both.")
    if body.has("region"):
        place = ninjaone.region(str(body.raw("region")))
        if place is None:
            body.fault("region", "Give one of " + ", ".join(ninjaone.REGIONS) + ".")
        return place
    if body.has("host"):
        place = ninjaone.host(str(body.raw("host")), config.branded_suffixes)
        if place is None:
            body.fault("host", "Give a NinjaOne host name with an allowed suffix, without https:// and port.")
        return place
    return None


def _client(config: Config, body: Fields, place: Place | None) -> tuple[bool, Client | None]:
    """Read whose client app is meant; the operator's where there is one, unless the body says otherwise."""
    offered = place.region in config.client_ids if place else bool(config.client_ids)
    word = body.raw("client") or ("operator" if offered and not body.has("client_credentials") else "customer")
    if word not in {"operator", "customer"}:
        body.fault("client", "Give operator or customer.")
    if word == "operator" and not offered:
        body.fault("client", "The operator has no client app there: see the parameter ClientIds, or give customer.")
    if word == "operator" and body.has("client_credentials"):
        body.fault("client_credentials", "Leave them out with the operator's client app.")
    return word == "customer", _credentials(body, place)


def _credentials(body: Fields, place: Place | None) -> Client | None:
    if not body.has("client_credentials"):
        return None
    held = body.raw("client_credentials")
    held = held if isinstance(held, dict) and set(held) == {"client_id", "client_secret"} else {}
    fits = all(isinstance(part, str) and _VISIBLE.fullmatch(part) for part in held.values())
    if not held or not fits:
        body.fault("client_credentials", "Give client_id and client_secret, up to 256 visible characters each.")
        return None
    if place is None:
        body.fault("region", "A client app lives on one host: give its region or host with client_credentials.")
    return Client(held["client_id"], Secret(held["client_secret"]), own=True)


def _scope(config: Config, body: Fields) -> frozenset[str]:
    held = body.raw("scopes")
    if held is None:
        return config.scopes
    listed = held if isinstance(held, list) and all(isinstance(name, str) for name in held) else []
    scope = frozenset(listed) - {ninjaone.OFFLINE_ACCESS}
    if not scope or not scope <= config.scopes:
        body.fault("scopes", "Give a list out of " + ", ".join(sorted(config.scopes)) + ".")
    return scope


def _metadata(body: Fields) -> Mapping[str, str]:
    held = body.raw("metadata")
    if held is None:
        return {}
    fits = (
        isinstance(held, dict)
        and len(held) <= 10
        and all(1 <= len(name) <= 40 and isinstance(text, str) and len(text) <= 200 for name, text in held.items())
    )
    if not fits:
        body.fault("metadata", "Give at most 10 texts of up to 200 characters under names of up to 40.")
        return {}
    return dict(held)


def _connection(body: Fields) -> ConnectionId | None:
    held = body.raw("connection")
    if held is None:
        return None
    found = connection_id(held) if isinstance(held, str) else None
    if found is None:
        body.fault("connection", "Give the id of a connection, as con_ and 26 characters.")
    return found
