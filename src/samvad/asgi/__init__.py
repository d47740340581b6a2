"""What every HTTP surface shares: reading a body within its limit, replies as bytes, errors in their shape."""
