"""Where a fetch may be led: public addresses, and what the card itself names, whatever redirects."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.card import Card
from curate.errors import CardError, DataError
from curate.fetch.run import Fetched
from curate.fetch.transport import RefusedError, Transport, Trust, is_public, own_trust, retry_after_s
from tests.fetch.conftest import card_of
from tests.fetch.server import Served, serving

Bring = Callable[..., Fetched]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "no address",
    ],
)
def test_addresses_within_a_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:9/a",
        "http://localhost:9/a",
        "http://10.0.0.1/a",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:9/a",
        "http://2130706433/a",
        "http://0x7f.1/a",
    ],
)
def test_a_redirect_to_another_address_within_is_refused(brought: Bring, target: str, tmp_path: Path) -> None:
    with serving({"/a": Served(answers=[(302, {"Location": target})])}) as server:
        with pytest.raises(DataError, match="an address within this machine or its network"):
            brought(card_of({"url": f"{server.url}/a"}))
        assert len(server.asked) == 1
    assert not (tmp_path / "example").exists()


def test_a_redirect_within_is_followed_where_the_person_lets_it(brought: Bring) -> None:
    with serving({"/b": Served(b"data")}, "127.0.0.2") as other, serving({}) as server:
        server.paths["/a"] = Served(answers=[(302, {"Location": f"{other.url}/b"})])
        assert brought(card_of({"url": f"{server.url}/a"}), allow_private=True).downloaded == 1


def _named(names: dict[str, list[list[str]]]) -> Transport:
    """Names as they resolve one time after the other; 127.0.0.1 stands for a public address."""

    def resolve(host: str, port: int) -> list[str]:
        found = names.get(host, [[host]])
        return found.pop(0) if len(found) > 1 else found[0]

    return Transport(environment={}, timeouts_s=(2.0, 1.0), resolve=resolve, judge=lambda ip: ip == "127.0.0.1")


def test_a_name_that_resolves_within_is_refused_before_anything_is_sent(brought: Bring) -> None:
    with serving({"/a": Served(b"data")}, "127.0.0.2") as server:
        port = server.url.rpartition(":")[2]
        card = card_of({"url": f"http://data.example.org:{port}/a"})
        with pytest.raises(DataError, match=r"within this machine or its network \(data\.example\.org\)"):
            brought(card, transport=_named({"data.example.org": [["127.0.0.2"]]}))
        with pytest.raises(DataError, match="within this machine"):
            brought(card, transport=_named({"data.example.org": [["127.0.0.1", "127.0.0.2"]]}))
        assert not server.asked


def test_a_name_that_resolves_elsewhere_for_the_second_connection_is_refused(brought: Bring) -> None:
    with serving({"/a": Served(b"data" * 1000, drops=[1000])}) as server:
        port = server.url.rpartition(":")[2]
        transport = _named({"data.example.org": [["127.0.0.1"], ["127.0.0.2"]]})
        with pytest.raises(DataError, match="within this machine"):
            brought(card_of({"url": f"http://data.example.org:{port}/a"}), transport=transport)
        assert len(server.asked) == 1


def test_a_name_is_resolved_once_for_a_connection() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with serving({"/a": Served(b"data")}) as server:
        port = server.url.rpartition(":")[2]
        transport = Transport(environment={}, resolve=resolve, judge=lambda ip: True)
        with transport.get(f"http://data.example.org:{port}/a", {}, Trust()) as (_, chunks):
            assert b"".join(chunks) == b"data"
    assert asked == ["data.example.org"]


def test_a_redirect_from_https_to_http_is_refused() -> None:
    from curate.fetch import transport

    with pytest.raises(RefusedError, match="from https to http"):
        transport._redirected("https://example.org/a", "http://example.org/a")
    assert transport._redirected("https://example.org/a", "/b") == "https://example.org/b"


def test_a_token_is_for_one_host_over_https() -> None:
    environment = {"CURATE_TOKEN_DATA__SETS_EXAMPLE_ORG": "secret"}
    trust = own_trust("https://data-sets.example.org/a", environment, allow_private=False)
    assert (trust.token, trust.origin) == ("secret", ("https", "data-sets.example.org", 443))
    assert "secret" not in repr(trust)
    assert own_trust("http://data-sets.example.org/a", environment, allow_private=False).token is None
    assert own_trust("https://other.example.org/a", environment, allow_private=False).token is None


def test_a_server_may_ask_to_wait_until_a_date() -> None:
    assert retry_after_s("Tue, 14 Nov 2023 22:13:30 GMT", 1_700_000_000.0) == 10.0
    assert retry_after_s("Tue, 14 Nov 2000 22:13:30 GMT", 1_700_000_000.0) == 0.0
    assert retry_after_s("999999", 0.0) == 300.0
    assert retry_after_s("soon", 0.0) == 0.0


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ({"url": "ftp://example.org/a"}, "not an address"),
        ({"url": "file:///etc/passwd"}, "not an address"),
        ({"url": "https://user:secret@example.org/a"}, "user name or password"),
        ({"url": "https://example.org/"}, "name is a path below"),
        ({"url": "https://example.org/a", "name": "../a"}, "name is a path below"),
        ({"url": "https://example.org/%2e%2e%2fa"}, "name is a path below|without"),
        ({"url": "https://example.org/a", "into": "/etc"}, "into is a path below"),
        ({"url": "https://example.org/a", "sha256": "ABC"}, "64 lower-case"),
        ({"url": "https://example.org/a", "bytes": 0}, "at least 1"),
        ({"url": "https://example.org/a", "unpack": "rar"}, "rar"),
        ({"url": "https://example.org/a", "sha265": "0"}, "did you mean `sha256`"),
    ],
)
def test_a_card_says_only_what_can_be_meant(file: dict[str, object], told: str) -> None:
    with pytest.raises(CardError, match=told) as problem:
        card_of(file)
    assert "secret" not in str(problem.value)


@pytest.mark.parametrize(
    ("hub", "told"),
    [
        ({"repo": "owner/name", "revision": "main"}, "full commit"),
        ({"repo": "name", "revision": "0" * 40}, "OWNER/NAME"),
        ({"repo": "owner/../x", "revision": "0" * 40}, "OWNER/NAME"),
        ({"repo": "owner/name", "revision": "0" * 40, "allow": []}, "lists no pattern"),
    ],
)
def test_a_repository_is_named_at_a_commit(hub: dict[str, object], told: str) -> None:
    with pytest.raises(CardError, match=told):
        card_of(hub=hub)


def test_two_files_of_one_name_are_told_apart_by_the_card() -> None:
    with pytest.raises(CardError, match="two files would be called"):
        card_of({"url": "https://example.org/1/a.bin"}, {"url": "https://example.org/2/a.bin"})


def test_a_card_without_addresses_says_where_to_go(brought: Bring) -> None:
    card: Card = card_of()
    with pytest.raises(CardError, match=r"get the dataset at example\.org/data"):
        brought(card)
