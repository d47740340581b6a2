"""`samvad demo`: the product and its sandbox in one process, with data that came in through the front door."""
