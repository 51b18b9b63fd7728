"""Ports that are free, and addresses that are written rightly."""

import socket

import pytest

from historyserver.demo.addresses import EVERY_ADDRESS, PORTS, free_ports, is_free, split_listen
from historyserver.demo.errors import DemoError


def test_a_port_in_use_is_not_free_until_it_is_closed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        assert not is_free(EVERY_ADDRESS, port)
    assert is_free("127.0.0.1", port)


def test_free_ports_are_different_and_in_the_range_that_ray_accepts() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(port in PORTS for port in ports)


@pytest.mark.parametrize("text", ["8080", ":8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_a_wrong_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DemoError, match="is not an address") as caught:
        split_listen(text)
    assert "--listen 127.0.0.1:8080" in caught.value.remedy


def test_an_address_is_split_into_host_and_port() -> None:
    assert split_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert split_listen("[::1]:80") == ("::1", 80)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(DemoError, match="Cannot listen"):
        is_free("192.0.2.1", 8080)
