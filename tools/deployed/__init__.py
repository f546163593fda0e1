"""Smoke tests for a deployed stack: what only AWS itself can show, and that the rest is as it was tried here.

They are no part of the ordinary run, which has no stack: ``python -m tools.deployed --stack NAME`` runs them.
"""
