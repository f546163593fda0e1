"""An authorization server by other hands (Authlib's), with one client app, under the paths that NinjaOne uses."""

import time
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.requests import OAuth2Request
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, Response, jsonify, request

PERSON = "ada"
CONSENT = '<h1>Consent</h1><form method="post"><button>Authorize</button></form>'


@dataclass
class App(ClientMixin):
    """A registered client app."""

    client_id: str
    secret: str
    redirect_uri: str
    scopes: frozenset[str]

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(each for each in scope.split() if each in self.scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_post"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {"authorization_code", "refresh_token"}


@dataclass
class Code:
    """What Authlib wants to know of an authorization code."""

    code: str
    redirect_uri: str
    scope: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Token(TokenMixin):
    """Tokens that were issued together."""

    access_token: str
    refresh_token: str
    scope: str
    expires_at: float
    revoked: bool = False

    def check_client(self, client: App) -> bool:
        return True

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        return self.revoked


@dataclass
class Authority:
    """The server's memory, and the server."""

    app: App
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: list[Token] = field(default_factory=list)

    def serve(self) -> Flask:
        """Make the WSGI application."""
        site = Flask(__name__)
        site.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
        site.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": 3600, "refresh_token": 3600}
        server = AuthorizationServer(site, query_client=self._client, save_token=self._save)
        server.register_grant(self._by_code(), [CodeChallenge(required=True)])
        server.register_grant(self._by_refresh_token())
        guard = ResourceProtector()
        guard.register_token_validator(self._validator())

        @site.get("/ws/oauth/authorize")
        def ask() -> tuple[str, int]:
            try:
                server.get_consent_grant(end_user=PERSON)
            except OAuth2Error as error:
                return str(error.error), 400
            return CONSENT, 200

        @site.post("/ws/oauth/authorize")
        def agree() -> Response:
            grant = server.get_consent_grant(end_user=PERSON)
            made: Response = server.create_authorization_response(grant_user=PERSON, grant=grant)
            return made

        @site.post("/ws/oauth/token")
        def token() -> Response:
            made: Response = server.create_token_response()
            return made

        @site.get("/v2/organizations")
        def organizations() -> Response:
            with guard.acquire("monitoring"):
                return jsonify([{"id": 1, "name": f"Page of {request.args['pageSize']}"}])

        return site

    def _client(self, client_id: str) -> App | None:
        return self.app if client_id == self.app.client_id else None

    def _save(self, token: dict[str, Any], _request: OAuth2Request) -> None:
        ends = time.time() + token["expires_in"]
        self.tokens.append(Token(token["access_token"], token.get("refresh_token", ""), token["scope"], ends))

    def _by_code(self) -> type[grants.AuthorizationCodeGrant]:
        codes = self.codes

        class ByCode(grants.AuthorizationCodeGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post",)

            def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
                asked = request.payload
                challenge, method = asked.data["code_challenge"], asked.data["code_challenge_method"]
                codes[code] = Code(code, asked.redirect_uri, asked.scope, challenge, method)

            def query_authorization_code(self, code: str, client: App) -> Code | None:
                return codes.get(code)

            def delete_authorization_code(self, authorization_code: Code) -> None:
                del codes[authorization_code.code]

            def authenticate_user(self, authorization_code: Code) -> str:
                return PERSON

        return ByCode

    def _by_refresh_token(self) -> type[grants.RefreshTokenGrant]:
        tokens = self.tokens

        class ByRefreshToken(grants.RefreshTokenGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post",)
            INCLUDE_NEW_REFRESH_TOKEN = True

            def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
                live = (each for each in tokens if each.refresh_token == refresh_token and not each.revoked)
                return next(live, None)

            def authenticate_user(self, refresh_token: Token) -> str:
                return PERSON

            def revoke_old_credential(self, refresh_token: Token) -> None:
                refresh_token.revoked = True

        return ByRefreshToken

    def _validator(self) -> BearerTokenValidator:
        tokens = self.tokens

        class Validator(BearerTokenValidator):
            def authenticate_token(self, token_string: str) -> Token | None:
                return next((each for each in tokens if each.access_token == token_string), None)

        return Validator()
