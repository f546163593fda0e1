"""Every way in which NinjaOne may behave, where public material does not settle it, as a switch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ninjaone_emulator.rejected import Rejected

DeadError = Literal["invalid_token", "invalid_grant", "expired_token"]
Survival = Literal["grants_survive", "grants_die"]


def about(section: str, says: str, *, most: int = 0) -> dict[str, Any]:
    """Describe one switch.

    Args:
        section: of docs/understand/ninjaone.md
        most: the largest allowed number; 0 for what is not a number
    """
    return {"section": section, "says": says, "most": most}


@dataclass
class Switches:
    """How NinjaOne behaves now. The defaults follow the evidence; where there is none, the strictest."""

    rotation: Literal[
        "rotate_strict", "rotate_grace", "static_same_token", "static_omit_field", "reuse_kills_family"
    ] = field(
        default="rotate_strict",
        metadata=about(
            "§3, §9 U1, U3",
            "What a refresh does to the refresh token: a new one and the old dies at once; the "
            "old lives on for the grace seconds; the same one is sent again; the field is left "
            "out; or a new one, and presenting an old one revokes the whole grant.",
        ),
    )
    grace_seconds: int = field(
        default=30,
        metadata=about("§3, §9 U1", "How long the previous refresh token lives with rotate_grace.", most=86400),
    )
    lifetime: Literal["absolute_30d", "sliding_30d"] = field(
        default="absolute_30d",
        metadata=about("§3, §9 U2", "Whether a refresh token ends 30 days after consent, or after its last use."),
    )
    access_token_seconds: int = field(
        default=3600,
        metadata=about("§3, §9 U22", "How long an access token lives; 60 makes refreshing visible.", most=86400),
    )
    expires_in: Literal["present", "omit"] = field(
        default="present", metadata=about("§3, §9 U22", "Whether token answers say expires_in.")
    )
    refresh_kills_access_token: bool = field(
        default=False, metadata=about("§9 U25", "Whether a refresh ends the access tokens issued before it.")
    )
    dead_refresh_error: DeadError = field(
        default="invalid_token",
        metadata=about("§8", "The error name for a refresh token that is not accepted."),
    )
    dead_code_error: DeadError = field(
        default="invalid_token",
        metadata=about("§8, §9 U5", "The error name for a code that is not accepted."),
    )
    code_seconds: int = field(default=60, metadata=about("§1", "How long an authorization code lives.", most=600))
    reused_code_kills_grant: bool = field(
        default=False,
        metadata=about("§9 U5", "Whether presenting a code again revokes what its first use issued (RFC 6749 §4.1.2)."),
    )
    scope_echo: Literal["echo", "omit", "reordered"] = field(
        default="echo", metadata=about("§4, §9 U12", "How the answer to a refresh names the scopes.")
    )
    offline_client_credentials: Literal["by_region", "reject", "tolerate"] = field(
        default="by_region",
        metadata=about(
            "§4, §9 U21",
            "What offline_access does in a client_credentials request; by region, only ca tolerates it.",
        ),
    )
    wrong_secret: Literal["invalid_client_401", "invalid_client_400"] = field(
        default="invalid_client_401", metadata=about("§8, §9 U4", "The answer to a wrong client secret.")
    )
    pkce: Literal["enforce", "ignore", "reject"] = field(
        default="enforce",
        metadata=about(
            "§1, §9 U14",
            "For Web apps: check the verifier when a challenge was sent; ignore it; or refuse challenges.",
        ),
    )
    iss: bool = field(default=False, metadata=about("§7", "Whether the callback names the issuer (RFC 9207)."))
    deny: Literal["access_denied", "no_redirect"] = field(
        default="access_denied",
        metadata=about("§7, §9 U6", "Whether a refusal returns to the product, or ends on a page of NinjaOne."),
    )
    invalid_scope_at_authorize: Literal["error_page", "redirect"] = field(
        default="error_page", metadata=about("§8, §9 U7", "Where a scope that the app does not hold leads.")
    )
    second_consent_kills_first: bool = field(
        default=False,
        metadata=about("§9 U24", "Whether a new consent by the same person and app revokes the earlier one."),
    )
    consent_needs_admin: bool = field(
        default=False, metadata=about("§7, §9 U10", "Whether only administrators of the tenant may consent.")
    )
    organizations_need_admin: bool = field(
        default=False,
        metadata=about("§6, §9 U10", "Whether only an administrator's token may list organizations and devices."),
    )
    list_rows: int = field(
        default=0, metadata=about("§12", "How many rows every list has; 0 leaves the few that are there.", most=5000)
    )
    page_cap: int = field(
        default=0,
        metadata=about(
            "§12", "The most rows of one page, whatever is asked, although more follow; 0 for none.", most=1000
        ),
    )
    link_header: Literal["present", "now_and_then", "absent"] = field(
        default="present",
        metadata=about("§12", "Whether full pages of devices, organizations and locations have a Link to the next."),
    )
    cursor_seconds: int = field(default=600, metadata=about("§12", "How long a cursor lives.", most=86400))
    cursor_repeats: bool = field(
        default=False,
        metadata=about("§12", "Whether a cursor stops after its first page and gives the second for ever."),
    )
    last_cursor: Literal["present", "absent"] = field(
        default="present", metadata=about("§12", "Whether the page that ends a report still names its cursor.")
    )
    redirect_delay_seconds: int = field(
        default=0,
        metadata=about("§7, §9 U23", "How long a newly registered redirect URI takes to be accepted.", most=86400),
    )
    ws_path: bool = field(
        default=True,
        metadata=about("§1, §9 U15", "Whether /ws/oauth/* is routed; if not, nginx answers 404."),
    )
    alias_path: bool = field(
        default=True, metadata=about("§1, §9 U15", "Whether /oauth/* is routed; if not, nginx answers 404.")
    )
    revoke: Literal["200", "404", "405"] = field(
        default="200", metadata=about("§1, §9 U8", "What the revocation endpoint answers.")
    )
    revoke_ends: Literal["grant", "token", "person"] = field(
        default="grant",
        metadata=about(
            "§9 U8, U24",
            "What the revocation of a refresh token ends: its grant; that token alone; or all that the same person "
            "granted to the app, newer consents included.",
        ),
    )
    branded_separate: bool = field(
        default=False,
        metadata=about(
            "§2, §9 U17", "Whether the branded host has apps and tokens of its own, apart from its region's."
        ),
    )
    user_disabled: Literal["dead_token", "still_works"] = field(
        default="dead_token",
        metadata=about("§9 U9", "What tokens do after the person who consented was disabled."),
    )
    password_changed: Survival = field(
        default="grants_survive",
        metadata=about("§9 U9", "What a changed password does to the person's grants."),
    )
    secret_rotated: Survival = field(
        default="grants_survive",
        metadata=about("§9 U9", "What a new client secret does to the app's grants; the old secret dies."),
    )
    scope_unticked: Literal["invalid_scope", "narrowed", "dead_token"] = field(
        default="invalid_scope",
        metadata=about("§9 U9", "What a refresh answers after the app lost a scope that was granted."),
    )
    grant_type_unticked: Literal["unauthorized_client", "dead_token"] = field(
        default="unauthorized_client",
        metadata=about("§9 U9", "What a refresh answers after the app lost the Refresh token box."),
    )
    app_deleted: Literal["client_app_not_exist", "invalid_client", "dead_token"] = field(
        default="client_app_not_exist",
        metadata=about("§9 U9", "What the token endpoint answers after the app was deleted."),
    )

    def update(self, changes: Mapping[str, object]) -> None:
        """Set several switches, or none of them.

        Args:
            changes: names to values; numbers and booleans may be text, as a form sends them

        Raises:
            Rejected
        """
        kinds, faults, good = get_type_hints(Switches), [], {}
        for name, value in changes.items():
            try:
                good[name] = _read(kinds[name], value, most=_most(name))
            except KeyError:
                faults.append(f"{name} is not a switch")
            except ValueError as error:
                faults.append(f"{name} must be {error}")
        if faults:
            raise Rejected(*faults)
        vars(self).update(good)

    def reset(self) -> None:
        """Set every switch to its default."""
        vars(self).update(asdict(Switches()))

    def values(self) -> dict[str, Any]:
        """Return every switch with its value."""
        return asdict(self)

    def describe(self) -> list[dict[str, Any]]:
        """Return every switch with its value, what it may be, and its sentence."""
        kinds = get_type_hints(Switches)
        return [
            {
                "name": each.name,
                "value": getattr(self, each.name),
                "default": each.default,
                "choices": _choices(kinds[each.name]),
                **each.metadata,
            }
            for each in fields(self)
        ]


def _most(name: str) -> int:
    return next((int(each.metadata["most"]) for each in fields(Switches) if each.name == name), 0)


def _choices(kind: Any) -> list[Any]:
    if kind is bool:
        return [True, False]
    return list(get_args(kind)) if get_origin(kind) is Literal else []


def _read(kind: Any, value: object, *, most: int) -> object:
    choices = _choices(kind)
    if not choices:
        return _number(value, most)
    for choice in choices:
        if (value == choice and type(value) is type(choice)) or value == str(choice).lower():
            return choice
    raise ValueError("one of " + ", ".join(str(choice).lower() for choice in choices))


def _number(value: object, most: int) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or int(text) > most:
        raise ValueError(f"a whole number from 0 to {most}")
    return int(text)
