"""What an answer of a customer's server means, and which addresses are nobody's to probe. Pure rules."""

import hashlib
import hmac

import pytest

from samvad.domain.webhooks.model import (
    BACK_OFF_MS,
    DAY_MS,
    Attempt,
    Health,
    Pending,
    Rules,
    Verdict,
    is_private,
    names_private_host,
    sign,
    verdict,
)

RULES = Rules()


def after(
    status: int | None, *, tries: int = 0, at: int = 1_000, health: Health | None = None, **headers: str
) -> Verdict:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    attempt = Attempt(at=at, duration_ms=0, url="https://example.com", status=status, response_headers=said)
    return verdict(Pending("id", 1, None, "key", tries), attempt, health or Health(), RULES)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered_and_the_endpoint_is_well_again(status: int):
    it = after(status, health=Health(failures=3, failing_since_at=1, rests_until_at=900, paused_why="GONE"))

    assert it.state == "DELIVERED"
    assert it.health == Health(delivered_at=1_000)


@pytest.mark.parametrize("status", [None, 301, 302, 408, 429, 500, 503])
def test_an_endpoint_in_trouble_rests_and_keeps_its_order(status: int | None):
    it = after(status, tries=5)

    assert it.state == "PENDING"
    assert it.health.rests(1_000)
    assert it.health.failures == 1


def test_the_rest_grows_with_the_failures_in_a_row():
    rests = [after(500, health=Health(failures=n)).health.rests_until_at for n in range(len(BACK_OFF_MS) + 3)]

    for rest, usual in zip(rests, [*BACK_OFF_MS, *(BACK_OFF_MS[-1],) * 3], strict=True):
        assert rest is not None
        assert 0.8 * usual <= rest - 1_000 <= 1.2 * usual


def test_posts_that_were_under_way_together_are_one_failure():
    first = after(500, at=1_000).health
    second = after(500, at=990, health=first).health

    assert second.failures == 1
    assert second.rests_until_at == first.rests_until_at


def test_an_event_refused_three_times_steps_aside_and_is_exhausted_at_last():
    assert [after(400, tries=n).holds for n in range(4)] == [True, True, False, False]
    assert not after(400).health.rests(1_000), "other chats of the endpoint go on"
    assert after(400, tries=len(BACK_OFF_MS) - 1).state == "PENDING"
    assert after(400, tries=len(BACK_OFF_MS)).state == "EXHAUSTED"


def test_trouble_with_one_event_while_others_are_taken_is_that_events():
    alive = Health(delivered_at=1_500)

    assert not after(500, at=1_000, health=alive).health.rests(1_500)
    assert [after(None, at=1_000, tries=n, health=alive).holds for n in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert after(500, at=1_000, tries=len(BACK_OFF_MS), health=alive).state == "EXHAUSTED"
    assert after(500, at=1_501, health=alive).health.rests(1_501), "nothing was taken since"


def test_what_waits_for_an_endpoint_in_trouble_is_never_given_up():
    assert after(500, tries=1_000, health=Health(failures=50)).state == "PENDING"


@pytest.mark.parametrize("status", [None, 500, 404])
def test_an_endpoint_that_takes_nothing_for_days_is_paused(status: int | None):
    days = RULES.pause_after_ms

    assert after(status, at=days + 4, health=Health(failing_since_at=5)).health.paused_at is None
    it = after(status, at=days + 5, health=Health(failing_since_at=5))
    assert (it.state, it.health.paused_why) == ("PENDING", "FAILING")
    assert it.health.rests_until_at is not None, "it is probed after a while"


def test_410_gone_pauses_at_once():
    it = after(410)

    assert (it.state, it.health.paused_why) == ("PENDING", "GONE")


def test_a_probe_that_fails_leaves_it_paused_until_the_next_and_one_that_passes_ends_it():
    paused = Health(failing_since_at=1, paused_at=5, paused_why="FAILING", rests_until_at=900)

    still = after(500, health=paused).health
    assert (still.paused_why, still.paused_at) == ("FAILING", 5)
    assert 0.8 * DAY_MS <= (still.rests_until_at or 0) - 1_000 <= 1.2 * DAY_MS
    assert after(200, health=paused).health.paused_at is None


def test_what_was_under_way_when_somebody_paused_it_by_hand_does_not_resume_it():
    assert after(200, health=Health(paused_at=5, paused_why="HAND")).health.paused_why == "HAND"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "wait_ms"),
    [
        ("120", 120_000),
        ("0", 1),
        ("999999999999", DAY_MS),
        ("Thu, 01 Jan 1970 00:01:01 GMT", 60_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
    ],
)
def test_retry_after_is_honoured_in_seconds_and_as_a_date(status: int, said: str, wait_ms: int):
    assert after(status, retry_after=said).health.rests_until_at == 1_000 + wait_ms


@pytest.mark.parametrize("said", ["soon", "-5", "", "٣"])
def test_a_retry_after_that_says_nothing_is_not_heard(said: str):
    rest = after(503, retry_after=said).health.rests_until_at
    assert rest is not None
    assert 0.8 * BACK_OFF_MS[0] <= rest - 1_000 <= 1.2 * BACK_OFF_MS[0]


def test_too_many_requests_rests_the_endpoint_also_while_others_are_taken():
    assert after(429, health=Health(delivered_at=5_000), retry_after="60").health.rests(60_000)


def test_the_signature_is_lower_case_hex_of_the_exact_bytes_without_a_prefix():
    assert sign("s", b"\xff{}") == hmac.new(b"s", b"\xff{}", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:c0a8:101::1", "::127.0.0.1",
    ],
)  # fmt: skip
def test_an_address_inside_somebodys_network_is_private(address: str):
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
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
