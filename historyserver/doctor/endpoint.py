"""One request that nobody has signed, step by step: name, connection, and who answers."""

from __future__ import annotations

import ipaddress
import socket
import time
import urllib.request
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from archive.credentials.http import ask
from archive.errors import StoreError
from archive.store.oss.address import Address
from historyserver.doctor.finding import Finding, fail, ok, skip, warn

_HALF_A_SECOND: Final = 0.5  # dates are cut to the second


@dataclass(frozen=True, slots=True)
class Spoken:
    """How far it went. `trouble`: a sentence, "" if somebody answered; `remedy`: what to do about it.

    `ahead`: seconds by which the other clock is ahead of ours, None if it doesn't tell.
    """

    host: str
    addresses: tuple[str, ...] = ()
    status: int = 0
    by_oss: bool = False
    ahead: float | None = None
    trouble: str = ""
    remedy: str = ""
    proxy: str = ""


def speak(address: Address) -> Spoken:
    """Asks for a list of the bucket, unsigned: a private one refuses, but says who and when it is."""
    endpoint = urlsplit(address.endpoint)
    name = endpoint.hostname or ""
    by_path = _is_number(name) and not address.cname
    host = name if by_path or address.cname else f"{address.bucket}.{name}"
    if proxy := _proxy(endpoint.scheme, host):
        return Spoken(host, proxy=proxy)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return Spoken(
            host,
            trouble=f"the name {host} is not known here ({error.strerror})",
            remedy="correct region= or endpoint= in the store's URL; an internal name is known inside "
            "Alibaba Cloud only: from outside, give the public endpoint",
        )
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    place = endpoint.netloc if host == name else f"{address.bucket}.{endpoint.netloc}"
    target = f"{endpoint.scheme}://{place}/{f'{address.bucket}/' if by_path else ''}?max-keys=1"
    try:
        answer = ask("GET", target, {})
    except StoreError as error:
        remedy = "is the way open (security group, network policy, VPC)? Are region and endpoint right?"
        return Spoken(host, addresses, trouble=f"{error} ({', '.join(addresses)})", remedy=remedy)
    ahead = None if answer.date is None else answer.date + _HALF_A_SECOND - time.time()
    return Spoken(host, addresses, answer.status, "x-oss-request-id" in answer.headers, ahead)


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
    encrypted = address.endpoint.startswith("https://")
    what = f"{spoken.host} {where} ({way}, {'TLS' if encrypted else 'not encrypted'})"
    loopback = all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in spoken.addresses)
    if loopback:
        return ok(what)
    if not encrypted:
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
