"""Connections share what begins alike on all of them, and nothing that is their own."""

from __future__ import annotations

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from cctvsignal.light import forget_handshake, lighten
from cctvsignal.websocket import SignalingFactory
from tests.assembled import assembled


class Bare(WebSocketServerProtocol):
    """Has nothing of its own when it is made."""

    def __init__(self) -> None:
        """Not Autobahn's."""


@pytest.fixture
def factory() -> SignalingFactory:
    return assembled(Clock(), "--ping-interval=0").websocket


def test_all_that_autobahn_sets_at_the_beginning_is_there_with_the_same_value() -> None:
    factory = WebSocketServerFactory(reactor=Clock())
    factory.setProtocolOptions(openHandshakeTimeout=0, autoPingInterval=7, closeHandshakeTimeout=3)
    heavy = WebSocketServerProtocol()
    heavy.factory = factory
    heavy.transport = StringTransport()
    heavy.connectionMade()
    light = lighten(Bare, factory)()
    own = {"is_open", "is_closed", "utf8validator", "trafficStats", "send_queue", "_transport_details"}
    own |= {"factory", "transport", "peer"}
    for name, value in vars(heavy).items():
        if name not in own:
            assert getattr(light, name) == value, name
    assert vars(light) == {}


def test_a_connection_has_few_things_of_its_own(factory: SignalingFactory) -> None:
    connection = factory.buildProtocol(None)
    connection.makeConnection(StringTransport())
    assert set(vars(connection)) <= {
        "factory",
        "transport",
        "connected",
        "_sender",
        "openHandshakeTimeoutCall",
    }


def test_each_connection_reads_its_own_text(factory: SignalingFactory) -> None:
    one, other = factory.buildProtocol(None), factory.buildProtocol(None)
    assert one.utf8validator is one.utf8validator
    assert one.utf8validator is not other.utf8validator
    one.utf8validator.validate("é".encode()[:1])
    assert other.utf8validator.validate(b"e")[:2] == (True, True)


def test_a_connection_of_one_factory_does_not_have_the_options_of_another() -> None:
    factories = [WebSocketServerFactory(reactor=Clock()) for _ in range(2)]
    factories[1].setProtocolOptions(closeHandshakeTimeout=9)
    lights = [lighten(Bare, factory)() for factory in factories]
    assert [getattr(light, "closeHandshakeTimeout") for light in lights] == [1, 9]  # noqa: B009


def test_what_only_the_handshake_needed_is_forgotten(factory: SignalingFactory) -> None:
    connection = factory.buildProtocol(None)
    connection.http_headers, connection.websocket_origin = {"host": "example"}, "null"
    connection.state = connection.STATE_OPEN
    forget_handshake(connection)
    assert set(vars(connection)) == {"factory", "state"}
    assert connection.websocket_version == 13
