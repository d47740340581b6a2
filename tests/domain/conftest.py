from tests.domain.quick import live, small

__all__ = ["live", "small"]
