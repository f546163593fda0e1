"""The FastAPI product with a home page and a sign-in that asks for nothing: python sites/fastapi_site.py"""

import os
import sys
from pathlib import Path

import uvicorn
from fastapi import Request
from fastapi.responses import FileResponse, RedirectResponse

sys.path.append(str(Path(__file__).parents[1]))
from fastapi_product import app  # from the folder above


@app.get("/")
async def home() -> FileResponse:
    return FileResponse(Path(__file__).with_name("home.html"))


@app.post("/sign-in/{user}")
async def sign_in(request: Request, user: str) -> RedirectResponse:
    request.session["user"] = user
    return RedirectResponse("/", 303)


uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("EXAMPLE_PORT", "8004")), log_level="warning")
