"""Procedures that come with the product, as the YAML one would write."""

from importlib import resources

from samvad.kit.errors import NotFound

EXAMPLES = ("lead", "ticket", "fieldvisit")


def example(name: str) -> str:
    """The text of an example. Raises NotFound naming those there are."""
    if name not in EXAMPLES:
        raise NotFound(f"There is no example {name!r:.40}; there are: {', '.join(EXAMPLES)}.")
    return resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
