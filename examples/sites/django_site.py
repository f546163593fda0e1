"""The Django product in a site with a home page and a sign-in that asks for nothing: python sites/django_site.py"""

import os
import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path

sys.path.append(str(Path(__file__).parents[1]))
settings.configure(
    SECRET_KEY=os.environ["SECRET"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="__main__",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django_product.Refusals"],
)
django.setup()

from django_product import urlpatterns  # noqa: E402  # settings come first


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(Path(__file__).with_name("home.html").read_text())


def sign_in(request: HttpRequest, user: str) -> HttpResponse:
    request.session["user"] = user
    return HttpResponseRedirect("/")


urlpatterns += [path("", home), path("sign-in/<user>", sign_in)]
make_server("127.0.0.1", int(os.environ.get("EXAMPLE_PORT", "8004")), get_wsgi_application()).serve_forever()
