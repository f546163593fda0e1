"""Tidewater, a made-up SaaS whose customers connect their NinjaOne, as its developer would write it."""

from local.product.app import RETURN_KEY, create_app
from local.product.people import PRODUCT_NAME

__all__ = ["PRODUCT_NAME", "RETURN_KEY", "create_app"]
