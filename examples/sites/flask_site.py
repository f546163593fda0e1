"""The Flask product with a home page and a sign-in that asks for nothing: python sites/flask_site.py"""

import os
import sys
from pathlib import Path

from flask import redirect, session
from werkzeug.wrappers import Response

sys.path.append(str(Path(__file__).parents[1]))
from flask_product import app  # from the folder above


@app.get("/")
def home() -> str:
    return Path(__file__).with_name("home.html").read_text()


@app.post("/sign-in/<user>")
def sign_in(user: str) -> Response:
    session["user"] = user
    return redirect("/", 303)


app.run(port=int(os.environ.get("EXAMPLE_PORT", "8004")))
