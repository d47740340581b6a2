"""Meta's language, nothing of ours: webhook bodies, signatures, refusals, and the Cloud API over HTTP."""
