"""What the options ask for, made of the parts that do it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource

from . import keys, messages
from .access import Identity
from .addresses import Origins, Proxies
from .admission import SERVER
from .api import IceServersApi
from .audit import AuditLog, say
from .auth import ClaimRules, Revocations, TokenAuthenticator
from .device_keys import DeviceKeys
from .entrance import Entrance
from .gate import Gate
from .hub import Hub
from .ice import IceOffer
from .keys import Key
from .opening import OpeningFactory
from .options import Options
from .policy import Authenticate, Policy, Record, let_anyone_in
from .rate_limited_log import RateLimitedLog
from .site import HandshakeSite, make_root
from .tls import ReloadedCertificate
from .token_checks import TokenChecks
from .watched import WatchedFiles
from .websocket import SignalingFactory

SPARE_FILES = 64
"""Open files that are not connections of clients: logs, databases, listening sockets."""
MANY_FILES = 65_536
"""Where the system has no limit."""

log = Logger()


@dataclass(frozen=True)
class Parts:
    """What a server consists of."""

    hub: Hub
    websocket: SignalingFactory
    port: OpeningFactory
    site_for: Callable[[IResource], HandshakeSite]
    """A port without WebSockets, whose connections count with those of the first."""
    certificate: ReloadedCertificate | None
    revoked: Callable[[], Callable[[Identity], bool]] | None
    """Who must go, if there is a list of them."""
    watched: tuple[WatchedFiles[Any], ...]
    """The files that are read again when they change."""
    warnings: RateLimitedLog
    audit: AuditLog | None
    closers: tuple[Callable[[], None], ...]
    """What is to be closed at the end."""


def assemble(options: Options, reactor: IReactorTime, health: Callable[[Hub], dict[str, object]]) -> Parts:
    """Make a server; raises `OSError` or `ValueError`."""
    limits, warnings = options.limits, RateLimitedLog(reactor)
    revocations = _revocations(options)
    signing_keys = _keys(options)
    authenticate = _authenticator(options, reactor, signing_keys, revocations, warnings)
    if authenticate is not None:
        authenticate = TokenChecks(authenticate, limits.tokens, reactor)
    audit = None
    if options["audit-log"] is not None:
        audit = AuditLog(options["audit-log"], reactor, options["audit-max-bytes"])
    device_keys = DeviceKeys(options["camera-keys"], reactor, warnings, limits.connections_per_address)
    ice = IceOffer(
        options["stun"] or (),
        options["turn"] or (),
        options["turn-secret"],
        options["turn-username"],
        options["turn-password"],
        options["turn-ttl"],
    )
    policy = Policy(
        limits=messages.Limits(options["max-message-bytes"], math.ceil(limits.messages.per_second)),
        max_members=0 if options["no-limits"] else options["max-members"],
        max_cameras=0 if options["no-limits"] else options["max-cameras"],
        authentication_seconds=options["auth-timeout"],
        device_keys=device_keys,
        ice=ice,
        records=_records(options, audit),
        authenticate=authenticate or let_anyone_in,
        wall=time.time,
    )
    hub = Hub(reactor, policy)
    proxies, origins = Proxies(options["trusted-proxy"] or ()), Origins(options["allow-origin"] or ())
    most_files = raise_file_limit()
    spare = SPARE_FILES + _outgoing_files(options)
    capacity = max(1, most_files - min(spare, most_files // 2)) if most_files else 0
    gate = Gate(reactor, limits, 0 if options["no-limits"] else capacity)
    refused = () if audit is None else (audit.refused,)
    entrance = Entrance(reactor, gate, proxies, origins, authenticate, refused, warnings)
    websocket = SignalingFactory(
        hub,
        reactor,
        entrance,
        limits,
        server=SERVER,
        max_message_bytes=options["max-message-bytes"],
        ping_interval=options["ping-interval"],
        ping_timeout=options["ping-timeout"],
        handshake_timeout=options["handshake-timeout"],
    )
    root = make_root(
        WebSocketResource(websocket),
        server=SERVER,
        origins=origins,
        entrance=entrance,
        health=lambda: health(hub),
        ice_servers=IceServersApi(hub, ice, authenticate, time.time).answer,
        web_dir=options.web_directory,
        client_dir=options.client_directory,
    )
    site_for = partial(
        HandshakeSite,
        reactor=reactor,
        handshake_timeout=options["handshake-timeout"],
        entrance=entrance,
    )
    certificate = None
    if options["tls-cert"] is not None:
        certificate = ReloadedCertificate(options["tls-cert"], options["tls-key"])
    watched = (signing_keys, revocations, None if certificate is None else certificate.files)
    return Parts(
        hub,
        websocket,
        OpeningFactory(site_for(root), websocket, SERVER),
        site_for,
        certificate,
        None if revocations is None else lambda: revocations.get().concerns,
        tuple(files for files in watched if files is not None),
        warnings,
        audit,
        (device_keys.close,) if audit is None else (device_keys.close, audit.close),
    )


def raise_file_limit() -> int:
    """Have as many open files as the system allows; returns how many, 0 where there is no telling."""
    if sys.platform == "win32":
        return 0
    import resource

    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if most == resource.RLIM_INFINITY else most
    # A system may allow less than it says.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, wanted), most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _records(options: Options, audit: AuditLog | None) -> tuple[Record, ...]:
    """Who writes down what clients do: not the log, if it would make each line for nobody."""
    told: tuple[Record, ...] = () if audit is None else (audit,)
    return (*told, say) if options["log-level"] == "debug" else told


def _revocations(options: Options) -> WatchedFiles[Revocations] | None:
    path = options["auth-revoked"]
    if path is None:
        return None

    def read() -> Revocations:
        found = Revocations.read(path)
        if padded := found.padded():
            text = "{path}: {padded} names begin or end with white space, which is part of them"
            log.warn(text, path=path, padded=padded)
        return found

    return WatchedFiles([path], read, Revocations())


def _keys(options: Options) -> WatchedFiles[list[Key]] | None:
    """The keys that tokens may be signed with, if they are in a file; raises `OSError` or `ValueError`."""
    path, secrets = options["auth-keys"], options["auth-secret"] or []
    if path is None:
        return None

    def read() -> list[Key]:
        found = [*secrets, *keys.from_file(path)]
        keys.check_names(found)
        return found

    return WatchedFiles([path], read)


def _outgoing_files(options: Options) -> int:
    """How many open files the connections to other services need."""
    if options["auth-webhook"] is None:
        return 0
    from .webhook import SOCKETS

    return SOCKETS


def _authenticator(
    options: Options,
    reactor: IReactorTime,
    in_file: WatchedFiles[list[Key]] | None,
    revocations: WatchedFiles[Revocations] | None,
    warnings: RateLimitedLog,
) -> Authenticate | None:
    if not options.wants_tokens:
        return None
    revoked = Revocations if revocations is None else revocations.get
    leeway = options["auth-leeway"]
    rules = ClaimRules(options["auth-audience"], options["auth-issuer"], leeway, leeway)
    if options["auth-webhook"] is not None:
        # It brings an HTTP client along, which only few servers need.
        from .webhook import WebhookAuthenticator

        # The service says when its own answer ends, and is asked again then: no second more.
        rules = replace(rules, grace=0.0)
        return WebhookAuthenticator(options["auth-webhook"], reactor, revoked, rules, warnings)
    secrets = options["auth-secret"] or []
    return TokenAuthenticator((lambda: secrets) if in_file is None else in_file.get, revoked, rules)
