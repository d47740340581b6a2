import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.whatsapp.signature import sign, verify

SECRET = "an app secret"
BODY = rb'{"entry":[],"name":"\u0905\u0936\u093e","link":"https:\/\/example.com"}'


def test_a_signature_is_the_prefix_and_the_hex_hmac_of_the_bytes():
    # RFC 4231, test case 2.
    expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

    assert sign("Jefe", b"what do ya want for nothing?") == expected


@given(st.text(min_size=1).filter(lambda text: text.isprintable()), st.binary())
def test_what_is_signed_verifies_whether_the_header_is_text_or_bytes(secret, body):
    header = sign(secret, body)

    assert verify(secret, body, header)
    assert verify(secret.encode(), body, header.encode())
    assert verify(secret, body, "sha256=" + header[7:].upper())


def test_one_changed_byte_or_another_secret_does_not_verify():
    header = sign(SECRET, BODY)

    assert not verify(SECRET, BODY.replace(b"\\/", b"/"), header)
    assert not verify("another secret", BODY, header)


@pytest.mark.parametrize(
    "header",
    [
        None, "", b"", "sha256=", "sha256=00", "sha1=5bdcc146bf60754e6a042426089575c75a003f08", "é" * 71,
        b"\xff" * 71, "sha256=" + "é" * 64, "sha256=" + "0" * 64, "\ud800",
    ],
)  # fmt: skip
def test_a_missing_or_malformed_header_is_refused_and_never_raises(header):
    assert verify(SECRET, BODY, header) is False


def test_an_unset_secret_verifies_nothing_even_if_signed_with_it():
    forged = "sha256=" + hmac.digest(b"", BODY, "sha256").hex()

    assert verify("", BODY, forged) is False
    with pytest.raises(AssertionError):
        sign("", BODY)
