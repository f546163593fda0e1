"""The body of a request for a connect session, validated field by field."""

import re
from collections.abc import Mapping
from dataclasses import replace

from broker import ninjaone, policy
from broker.config import Config
from broker.edge.fields import Fields
from broker.edge.http import Request
from broker.flows.session import SessionRequest
from broker.model import Binding, Client, ConnectionId, Host, Seconds, SessionPurpose, TenantId, connection_id
from broker.secret import Secret
from broker.text import credential, first_unsafe

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_FIELDS = frozenset(
    {
        "end_user_id", "binding", "binding_challenge", "return_to", "tenant_name", "region", "host", "scopes",
        "label", "metadata", "connection_id", "link_days", "client", "client_credentials", "purpose",
    }
)  # fmt: skip
_OF_CONSENTS = ("region", "host", "scopes", "label", "metadata", "link_days", "client", "client_credentials")
"""Fields that a session for a client secret does not take: the connection determines them."""


def session_request(config: Config, tenant: TenantId, request: Request) -> SessionRequest:
    """Read the body of a new connect session. Raises InvalidRequest."""
    body = Fields(request, _FIELDS)
    binding = _binding(config, body)
    purpose = _purpose(body, binding)
    if purpose is SessionPurpose.CLIENT_SECRET:
        return _for_secret(tenant, body, binding)
    host = _host(config, body)
    customer_app, client = _client(config, body, host)
    if binding is Binding.APPROVAL and body.has("connection_id"):
        body.fault("connection_id", "A reconnect replaces tokens, so it needs binding session.")
    found = replace(
        _asked(tenant, body, binding),
        scopes=_scopes(config, body),
        host=host,
        customer_app=customer_app,
        client=client,
        label=body.text("label", longest=80),
        metadata=_metadata(body),
        connection=_connection(body),
        life=_life(config, body, binding),
    )
    body.check()
    return found


def _for_secret(tenant: TenantId, body: Fields, binding: Binding) -> SessionRequest:
    """Read the rest of a request for a client secret. Raises InvalidRequest."""
    asked = _asked(tenant, body, binding)
    found = replace(asked, customer_app=True, connection=_connection(body), purpose=SessionPurpose.CLIENT_SECRET)
    body.check()
    return found


def _asked(tenant: TenantId, body: Fields, binding: Binding) -> SessionRequest:
    """Read what every purpose needs: the tenant, the person, and where the person returns to."""
    return SessionRequest(
        tenant=tenant,
        tenant_name=body.text("tenant_name", longest=80, needed=True),
        end_user_id=body.text("end_user_id", longest=256, needed=True),
        binding=binding,
        binding_challenge=_challenge(body, binding),
        return_to=body.text("return_to", longest=64, needed=True),
        scopes=frozenset(),
        host=None,
        customer_app=False,
        client=None,
        label="",
        metadata={},
        connection=None,
    )


def _purpose(body: Fields, binding: Binding) -> SessionPurpose:
    purpose = SessionPurpose(body.choice("purpose", tuple(SessionPurpose), default=SessionPurpose.CONNECT))
    if purpose is SessionPurpose.CLIENT_SECRET:
        if binding is Binding.APPROVAL:
            body.fault("binding", "A new client secret replaces the old one, so it needs binding session.")
        if not body.has("connection_id"):
            body.fault("connection_id", "Pass the id of the connection whose client app has a new secret.")
        for name in _OF_CONSENTS:
            if body.has(name):
                body.fault(name, "Leave it out with purpose client_secret: the connection determines it.")
    return purpose


def _binding(config: Config, body: Fields) -> Binding:
    binding = Binding(body.choice("binding", tuple(Binding), default=Binding.SESSION))
    if binding is Binding.APPROVAL and not config.approval_binding:
        body.fault("binding", "The operator's parameter ApprovalBinding does not allow approval.")
    return binding


def _life(config: Config, body: Fields, binding: Binding) -> Seconds:
    """Read how long the link works: ``policy.SESSION_LIFE``, or days if somebody else is to open it."""
    if not body.has("link_days"):
        return policy.SESSION_LIFE
    if binding is not Binding.APPROVAL:
        body.fault("link_days", "Leave it out, or use binding approval: only such a link may stay valid for days.")
        return policy.SESSION_LIFE
    limit = ", the operator's parameter ApprovalLinkLife"
    days = body.number("link_days", default=1, least=1, most=config.approval_link_days, limit=limit)
    return Seconds(days * policy.DAY)


def _challenge(body: Fields, binding: Binding) -> str:
    if binding is Binding.APPROVAL:
        if body.has("binding_challenge"):
            body.fault("binding_challenge", "Leave it out with binding approval.")
        return ""
    return body.matching("binding_challenge", _CHALLENGE, "Pass base64url(SHA-256(verifier)), 43 characters.")


def _host(config: Config, body: Fields) -> Host | None:
    if body.has("region") and body.has("host"):
        body.fault("host", "Pass region or host, not both.")
    if body.has("region"):
        host = ninjaone.regional_host(str(body.raw("region")))
        if host is None:
            body.fault("region", "Use one of " + ", ".join(ninjaone.REGIONS) + ".")
        return host
    if body.has("host"):
        value = body.raw("host")
        host = ninjaone.pasted_host(value, config.branded_suffixes) if isinstance(value, str) else None
        if host is None:
            body.fault("host", "Pass a NinjaOne host name, or its address, with an allowed suffix.")
        return host
    return None


def _client(config: Config, body: Fields, host: Host | None) -> tuple[bool, Client | None]:
    """Read whose client app to use: the operator's if there is one, unless the body says otherwise."""
    offered = host.region in config.client_ids if host else bool(config.client_ids)
    default = "operator" if offered and not body.has("client_credentials") else "customer"
    word = body.choice("client", ("operator", "customer"), default=default)
    if word == "operator" and not offered:
        body.fault("client", "The operator has no client app there: see the parameter ClientIds, or use customer.")
    if word == "operator" and body.has("client_credentials"):
        body.fault("client_credentials", "Leave them out with the operator's client app.")
    return word == "customer", _credentials(body, host)


def _credentials(body: Fields, host: Host | None) -> Client | None:
    if not body.has("client_credentials"):
        return None
    value = body.raw("client_credentials")
    value = value if isinstance(value, dict) and set(value) == {"client_id", "client_secret"} else {}
    read = {name: credential(part) for name, part in value.items() if isinstance(part, str)}
    if len(list(filter(None, read.values()))) != 2:
        body.fault("client_credentials", "Pass client_id and client_secret, each of up to 256 visible characters.")
        return None
    if host is None:
        body.fault("region", "A client app exists on one host only: pass its region or host with client_credentials.")
    return Client(read["client_id"], Secret(read["client_secret"]), customer_app=True)


def _scopes(config: Config, body: Fields) -> frozenset[str]:
    value = body.raw("scopes")
    if value is None:
        return config.scopes
    listed = value if isinstance(value, list) and all(isinstance(name, str) for name in value) else []
    scopes = frozenset(listed) - {ninjaone.OFFLINE_ACCESS}
    if not scopes or not scopes <= config.scopes:
        body.fault("scopes", "Pass a list of scopes out of " + ", ".join(sorted(config.scopes)) + ".")
    return scopes


def _metadata(body: Fields) -> Mapping[str, str]:
    value = body.raw("metadata")
    if value is None:
        return {}
    fits = (
        isinstance(value, dict)
        and len(value) <= 10
        and all(1 <= len(name) <= 40 and isinstance(text, str) and len(text) <= 200 for name, text in value.items())
        and not any(first_unsafe(name) or first_unsafe(text) for name, text in value.items())
    )
    if not fits:
        body.fault(
            "metadata",
            "Pass at most 10 texts of up to 200 characters, with names of up to 40, "
            "without control or bidirectional-override characters.",
        )
        return {}
    return dict(value)


def _connection(body: Fields) -> ConnectionId | None:
    value = body.raw("connection_id")
    if value is None:
        return None
    found = connection_id(value) if isinstance(value, str) else None
    if found is None:
        body.fault("connection_id", "Pass the id of a connection: con_ and 26 characters.")
    return found
