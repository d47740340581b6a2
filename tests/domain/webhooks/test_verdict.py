"""What an answer of a customer's server means, and which addresses are nobody's to probe. Pure rules."""

import hashlib
import hmac

import pytest

from samvad.domain.webhooks.model import (
    BACK_OFF_MS,
    GIVE_UP_AFTER_MS,
    Attempt,
    Pending,
    is_private,
    names_private_host,
    sign,
    verdict,
)


def after(status: int | None, *, tries: int = 0, failures: int = 0, age_ms: int = 0):
    attempt = Attempt(at=age_ms, duration_ms=0, status=status)
    return verdict(Pending("id", 1, tries, 0), attempt, failures=failures, back_off_ms=BACK_OFF_MS)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(status: int):
    assert after(status).state == "DELIVERED"


@pytest.mark.parametrize("status", [None, 301, 302, 408, 429, 500, 503])
def test_an_endpoint_in_trouble_rests_and_keeps_its_order(status: int | None):
    it = after(status, tries=5)

    assert it.state == "PENDING"
    assert it.rests_until_at is not None


def test_the_rest_grows_with_the_failures_in_a_row():
    rests = [after(500, failures=n).rests_until_at or 0 for n in range(len(BACK_OFF_MS) + 3)]

    for rest, usual in zip(rests, [*BACK_OFF_MS, *(BACK_OFF_MS[-1],) * 3], strict=True):
        assert 0.8 * usual <= rest <= 1.2 * usual


def test_an_event_refused_three_times_steps_aside_and_is_exhausted_at_last():
    assert [after(400, tries=n).rests_until_at is None for n in range(4)] == [False, False, True, True]
    assert after(400, tries=len(BACK_OFF_MS) - 1).state == "PENDING"
    assert after(400, tries=len(BACK_OFF_MS)).state == "EXHAUSTED"


def test_an_endpoint_in_trouble_is_given_up_after_a_day_and_a_half():
    assert after(500, age_ms=GIVE_UP_AFTER_MS).state == "PENDING"
    assert after(500, age_ms=GIVE_UP_AFTER_MS + 1).state == "EXHAUSTED"
    assert after(200, age_ms=GIVE_UP_AFTER_MS * 2).state == "DELIVERED"


def test_the_signature_is_lower_case_hex_of_the_exact_bytes_without_a_prefix():
    assert sign("s", b"\xff{}") == hmac.new(b"s", b"\xff{}", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe",
    ],
)  # fmt: skip
def test_an_address_inside_somebodys_network_is_private(address: str):
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_on_the_internet_is_not(address: str):
    assert not is_private(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/", "http://LOCALHOST:80/", "http://localhost./", "http://a.localhost/", "http://nas.local/",
        "http://db.internal/", "http://127.0.0.1/", "http://u:p@127.0.0.1/", "http://[::1]/", "http://[::ffff:7f00:1]/",
        "http://169.254.169.254/latest", "http://[fe80::1%25eth0]/",
        "http://１２７.0.0.1/", "http://127。0。0。1/", "http://ⓛocalhost/",
    ],
)  # fmt: skip
def test_a_url_that_names_a_private_host_is_seen_through(url: str):
    assert names_private_host(url)


@pytest.mark.parametrize(
    "url", ["https://example.com/", "http://8.8.8.8/", "https://localhost.example.com/", "nonsense"]
)
def test_a_public_url_is_not_suspected(url: str):
    assert not names_private_host(url)
