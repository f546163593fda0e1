"""`ninjaone-connect`: for whoever operates a deployment. Secrets go through it only where they must, and onto no screen
but that of `token`.
"""
