"""What trials by hand share with the integration tests."""

from tests.integration.conftest import workplace

__all__ = ["workplace"]
