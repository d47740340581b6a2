"""`appsecret_proof`: a caller's proof of the app secret, which Graph checks wherever one is given."""

import hmac

from samvad.sandbox.errors import GraphError
from samvad.sandbox.nodes import Call


def check(call: Call) -> None:
    """Refuse a proof that is not the HMAC-SHA256 of the access token, keyed with the app secret."""
    given = call.query.get("appsecret_proof")
    if given is None:
        return
    for account in call.accounts:
        token = account.business.access_token.encode()
        if hmac.compare_digest(hmac.digest(account.secret, token, "sha256").hex(), given):
            return
    raise GraphError(
        100, message="Invalid appsecret_proof provided in the API argument", kind="GraphMethodException"
    )
