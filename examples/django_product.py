"""A Django product whose users connect NinjaOne: add its urlpatterns and Refusals. Sign in by session["user"]."""

import os
from functools import cache

import httpx
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.http import require_POST

from ninjaone_connect import Connect, NeedsReauth, NinjaOneAuth, Problem, new_verifier

TENANTS = {"ana": "northwind", "ben": "southgate"}  # who works for which of your customers
RETURN_TO = os.environ.get("RETURN_TO", "main")
connect = Connect(os.environ["BACKEND_API_URL"])
auth = cache(lambda tenant, connection: NinjaOneAuth(connect, tenant, connection))  # keeps tokens


def signed_in(request: HttpRequest) -> tuple[str, str]:
    if (user := request.session.get("user")) not in TENANTS:
        raise PermissionDenied("Sign in first.")
    return user, TENANTS[user]


@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    (user, tenant), mine = signed_in(request), new_verifier()
    opened = connect.open_session(
        tenant, end_user_id=user, tenant_name=tenant.title(), return_to=RETURN_TO, binding_challenge=mine.challenge,
        connection_id=request.GET.get("connection"),  # to reconnect that one
    )  # fmt: skip
    request.session[opened.session_id] = mine.verifier
    return HttpResponseRedirect(opened.connect_url)


def come_back(request: HttpRequest) -> HttpResponse:
    (user, tenant), query = signed_in(request), request.GET
    if "connect_session" not in query:  # the button of a page that could not say which
        return HttpResponseRedirect("/")
    verifier = request.session.get(query["connect_session"])
    if "error" in query or verifier is None:
        return HttpResponse(query.get("error", "This connection was not begun here."), status=400)
    made = connect.complete(
        tenant, query["connect_session"], end_user_id=user, ticket=query.get("ticket", ""), binding_verifier=verifier
    )
    return HttpResponseRedirect(f"/ninjaone/{made.connection_id}")


def organizations(request: HttpRequest, connection: str) -> HttpResponse:
    _, tenant = signed_in(request)
    base_url = connect.connection(tenant, connection).api_base_url
    with httpx.Client(auth=auth(tenant, connection), base_url=base_url) as ninjaone:
        return JsonResponse(ninjaone.get("/v2/organizations").raise_for_status().json(), safe=False)


@require_POST
def disconnect(request: HttpRequest, connection: str) -> HttpResponse:
    return JsonResponse({"revoked": connect.disconnect(signed_in(request)[1], connection).revoked})


class Refusals(MiddlewareMixin):
    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, Problem):
            return None
        again = f"/ninjaone/connect?connection={error.connection_id}" if isinstance(error, NeedsReauth) else None
        return JsonResponse({"detail": error.detail, "reconnect": again}, status=error.status)


urlpatterns = [
    path("ninjaone/connect", begin),
    path("ninjaone/return", come_back),
    path("ninjaone/<connection>", organizations),
    path("ninjaone/<connection>/disconnect", disconnect),
]
