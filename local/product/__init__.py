"""Tidewater, a made-up SaaS whose customers connect their NinjaOne, as its developer would write it."""

from base64 import b64encode
from pathlib import Path

from local.product.app import RETURN_KEY, create_app
from local.product.people import PRODUCT_NAME

__all__ = ["ACCENT", "PRODUCT_NAME", "RETURN_KEY", "create_app", "logo"]

ACCENT = "#0b6160"
"""The colour of `static/product.css`, for the pages of the broker."""


def logo() -> str:
    """Return the product's name and mark as a data: address, for the pages of the broker."""
    picture = Path(__file__).with_name("static") / "wordmark.svg"
    return f"data:image/svg+xml;base64,{b64encode(picture.read_bytes()).decode()}"
