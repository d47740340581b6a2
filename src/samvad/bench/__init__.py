"""The product under load, on loopback, beside the floors of the same machine in the same minute.

A number alone says what the machine did that day; the ratio to a bare ASGI server, measured by the same
generator with the same bodies, says what the product costs. And a number counts only if nothing was lost:
after each run every acknowledged operation is looked for in the database.
"""
