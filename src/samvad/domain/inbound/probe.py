"""The body with which we ask our own callback address whether it believes us."""

PROBE = b'{"object":"whatsapp_business_account","entry":[]}'
"""It says nothing, so nothing of it is kept. Meta sends no such body: its entries are never empty."""

REFUSED_HEADER = "X-Samvad-Signatures-Refused"
"""On the answer to a rightly signed probe: how many bodies were refused since the last good one, and when last."""
