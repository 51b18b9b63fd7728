"""One request that nobody has signed, step by step: name, connection, TLS, and who answers."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import time
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from archive.store.oss.address import Address
from archive.trust import trusted
from historyserver.doctor.finding import Finding, fail, ok, skip, warn

SECONDS: Final = 5.0
_LARGEST: Final = 64 << 10
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


@dataclass(frozen=True, slots=True)
class Spoken:
    """How far it went. `trouble`: a sentence, "" if somebody answered; `remedy`: what to do about it.

    `ahead`: seconds by which the other clock is ahead of ours, None if it doesn't tell.
    """

    host: str
    addresses: tuple[str, ...] = ()
    encrypted: str = ""
    status: int = 0
    code: str = ""
    by_oss: bool = False
    ahead: float | None = None
    trouble: str = ""
    remedy: str = ""
    proxy: str = ""


def speak(address: Address) -> Spoken:
    """Asks for a list of the bucket, unsigned: a private one refuses, but says who and when it is."""
    endpoint = urlsplit(address.endpoint)
    name = endpoint.hostname or ""
    plain = address.cname or _is_number(name)
    host = name if plain else f"{address.bucket}.{name}"
    proxy = _proxy(endpoint.scheme, host)
    if proxy:
        return Spoken(host, proxy=proxy)
    try:
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Spoken(
            host,
            trouble=f"the name {host} is not known here ({error.strerror})",
            remedy="correct region= or endpoint= in the store's URL; an internal name is known inside "
            "Alibaba Cloud only: from outside, give the public endpoint",
        )
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    before = Spoken(host, addresses)
    try:
        with socket.create_connection((host, port), SECONDS) as plain_socket:
            path = f"/{address.bucket}/" if _is_number(name) and not address.cname else "/"
            if endpoint.scheme != "https":
                return _asked(plain_socket, before, f"{path}?max-keys=1", endpoint.netloc)
            with trusted().wrap_socket(plain_socket, server_hostname=host) as secure:
                before = Spoken(host, addresses, secure.version() or "TLS")
                return _asked(secure, before, f"{path}?max-keys=1", host)
    except ssl.SSLCertVerificationError as error:
        return Spoken(
            host,
            addresses,
            trouble=f"{host} shows a certificate that can't be trusted: {error.verify_message}",
            remedy="is the endpoint right, or does a proxy stand between? Then name its authority in "
            "SSL_CERT_FILE",
        )
    except (OSError, http.client.HTTPException) as error:
        why = f"no answer within {SECONDS:.0f} s" if isinstance(error, TimeoutError) else str(error)
        return Spoken(
            host,
            addresses,
            trouble=f"{host} ({', '.join(addresses)}) does not answer: {why}",
            remedy="is the way open (security group, network policy, VPC)? Is the region right?",
        )


def _asked(connected: socket.socket, before: Spoken, target: str, host: str) -> Spoken:
    connection = http.client.HTTPConnection(before.host)
    connection.sock = connected
    connection.request(
        "GET", target, headers={"Host": host if "/" not in host else before.host, "Connection": "close"}
    )
    response = connection.getresponse()
    body = response.read(_LARGEST)
    code = _CODE.search(body)
    return Spoken(
        before.host,
        before.addresses,
        before.encrypted,
        response.status,
        code[1].decode() if code else "",
        response.getheader("x-oss-request-id") is not None,
        _ahead(response.getheader("Date")),
    )


def _ahead(date: str | None) -> float | None:
    """To the second, which is all that a date tells."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time() + 0.5 if date else None
    except ValueError:
        return None


def _proxy(scheme: str, host: str) -> str:
    proxies = urllib.request.getproxies()
    return "" if urllib.request.proxy_bypass(host) else proxies.get(scheme) or proxies.get("all") or ""


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def judge(spoken: Spoken, address: Address) -> Finding:
    """Whether OSS answers there, by which way, and whether it is the way to go."""
    if spoken.proxy:
        return skip(f"requests go by the proxy {_host_of(spoken.proxy)}, so only signed ones can tell")
    if spoken.trouble:
        return fail(spoken.trouble, spoken.remedy)
    if not spoken.by_oss:
        return fail(
            f"what answers at {spoken.host} is not OSS (status {spoken.status})",
            "correct the endpoint, or see whether a proxy or a login page stands between",
        )
    internal = "-internal." in spoken.host
    way = "internal" if internal else "own domain" if address.cname else "public"
    where = "answers" if _is_number(spoken.host) else f"is {', '.join(spoken.addresses)}"
    what = f"{spoken.host} {where} ({way}, {spoken.encrypted or 'not encrypted'})"
    loopback = all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in spoken.addresses)
    if loopback:
        return ok(what)
    if not spoken.encrypted:
        return warn(what, "anybody on the way can read it: let the endpoint begin with https://")
    if way == "public":
        return warn(
            what,
            "traffic costs money, and new accounts may not use it: inside Alibaba Cloud leave endpoint= out, "
            "elsewhere give a domain of your own (cname=true)",
        )
    return ok(what)


def _host_of(url: str) -> str:
    """Without the name and password that a proxy's URL may hold."""
    return urlsplit(url if "://" in url else f"http://{url}").hostname or "of the environment"
