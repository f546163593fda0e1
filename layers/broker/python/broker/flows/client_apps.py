"""The client app that a connection was made with, and the revocation of a refresh token with it."""

from broker import ninjaone, oauth
from broker.adapters.client_secrets import ClientSecrets
from broker.adapters.connections import Connections
from broker.adapters.http import HttpClient
from broker.adapters.seal import Seal
from broker.model import Client, ConnectionState, Host, Profile, Purpose, Seconds
from broker.secret import Secret

REVOKE_TIMEOUT = Seconds(5)


class ClientApps:
    """Finds the client app of a row: the operator's in Secrets Manager, the customer's sealed in the profile row."""

    def __init__(self, connections: Connections, seal: Seal, client_secrets: ClientSecrets) -> None:
        self._connections, self._seal, self._client_secrets = connections, seal, client_secrets

    def client_for(self, state: ConnectionState, profile: Profile | None = None) -> Client:
        """Return the client app with its secret.

        Args:
            profile: the connection's profile row, if it was read already

        Raises:
            SealBroken: the customer's secret is missing or does not open
            Misconfigured: the operator's secret is not stored
            AwsError
        """
        if not state.customer_app:
            return self._client_secrets.client(state.client_id)
        profile = profile or self._connections.get_profile(state.ref)
        sealed = profile.client if profile else None
        secret = self._seal.open(sealed or b"", Purpose.CLIENT, state.ref.aad())
        return Client(state.client_id, secret, customer_app=True)

    def reload_if_changed(self, client: Client) -> Client | None:
        """Read the operator's secret past the cache; return the client if it changed, else None.

        Raises:
            Misconfigured, AwsError
        """
        return self._client_secrets.reload_if_changed(client)


def revoke(web: HttpClient, host: Host, client: Client, refresh: Secret) -> bool:
    """Revoke a refresh token at NinjaOne with one request; return whether NinjaOne confirmed it.

    See RFC 7009 §2; docs/understand/ninjaone.md §1, §9 U8.
    """
    form = oauth.revocation(client, refresh)
    answer = web.post(ninjaone.revocation_endpoint(host), form, timeout=REVOKE_TIMEOUT)
    return isinstance(answer, oauth.Reply) and answer.status == 200
