"""Send everything meant for a host of NinjaOne's to a server on this machine that answers in its place."""

import re
import ssl
from collections.abc import Iterable

import httpx


class Reroute:
    """Rewrites addresses of NinjaOne's hosts.

    The emulator serves all hosts at once, each under a path prefix of its own name; another provider
    stands in for every host alike.
    """

    def __init__(self, stand_in: str, domains: Iterable[str], *, prefixed: bool) -> None:
        """Take where requests go instead.

        Args:
            stand_in: its URL, without a slash at the end
            domains: `ninjarmm.com` and the suffixes of branded hosts: what counts as NinjaOne's
            prefixed: the stand-in wants the host's name before the path
        """
        self._stand_in, self._prefixed = stand_in, prefixed
        self._domains = tuple(domains)
        self.tls = ssl.create_default_context() if stand_in.startswith("https:") else None
        ends = "|".join(re.escape(domain) for domain in self._domains)
        self._address = re.compile(rf"https://((?:[a-z0-9-]+\.)+(?:{ends}))(?![a-z0-9.:@-])", re.IGNORECASE)
        self._wildcard = re.compile(rf"https://\*\.(?:{ends})(?![a-z0-9.:@-])", re.IGNORECASE)

    def text(self, text: str) -> str:
        """Rewrite every address of NinjaOne's in a header or a page; a wildcard becomes the whole stand-in."""
        return self._wildcard.sub(self._stand_in, self._address.sub(self._one, text))

    def _one(self, match: re.Match[str]) -> str:
        return self.base(match[1])

    def base(self, host: str) -> str:
        """Return where a host's root lies."""
        return f"{self._stand_in}/{host.lower()}" if self._prefixed else self._stand_in

    def transport(self) -> httpx.BaseTransport:
        """Make a transport that sends requests there."""
        return EmulatedNinjaOne(self)

    def leads(self, host: str) -> bool:
        """Return whether a host is NinjaOne's."""
        return host.lower().endswith(tuple(f".{domain}" for domain in self._domains))


class EmulatedNinjaOne(httpx.BaseTransport):
    """Sends requests for NinjaOne to its emulator, and refuses all others."""

    def __init__(self, reroute: Reroute) -> None:
        self._reroute = reroute
        self._inner = httpx.HTTPTransport(verify=reroute.tls or False, trust_env=False, retries=0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on; as in the deployed code, only https to a host of NinjaOne's is taken."""
        if request.url.scheme != "https" or not self._reroute.leads(request.url.host):
            raise httpx.UnsupportedProtocol("only https to a host of NinjaOne's leaves the local world")
        target = httpx.URL(self._reroute.base(request.url.host) + request.url.raw_path.decode("ascii"))
        passed = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        headers = [(b"Host", target.netloc), *passed]  # a request that is made of a stream gets none by itself
        moved = httpx.Request(
            request.method, target, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return self._inner.handle_request(moved)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()
