"""Names and addresses: what the server listens on, how runs reach it, which Host headers are its own."""

from __future__ import annotations

import socket

import pytest

from airflow_domino.local.gate import Access, Gate, cookie_name, host_name
from airflow_domino.local.server import listening, reachable


def test_the_listener_names_its_protocol_so_that_small_answers_are_not_held_back():
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockname()[1] > 0


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("domino.local", "domino.local"),
    ],
)
def test_runs_reach_the_server_by_an_address_of_this_machine(host, address):
    assert reachable(host) == address


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Domino.Example:8888", "domino.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:80", "::1"),
        ("[", ""),
        ("", ""),
        ("a@b", ""),
        ("[::1].evil.example", ""),
    ],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost:1", True),
        ("127.0.0.1", True),
        ("192.0.2.1:8888", True),
        ("[2001:db8::1]:80", True),
        ("domino.example", True),
        ("evil.example", False),
        ("domino.example.evil.example", False),
        ("", False),
    ],
)
def test_only_names_of_its_own_are_the_servers(host, is_own):
    gate = Gate(app=None, platform=None, access=Access(frozenset({"domino.example"})))
    assert gate._is_own(host) is is_own


def test_servers_on_different_ports_have_different_cookies():
    assert cookie_name("127.0.0.1:1") != cookie_name("127.0.0.1:2")
    assert cookie_name("domino.example") == "airflow_domino_local_80"
