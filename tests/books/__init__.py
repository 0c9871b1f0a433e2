"""Books for tests: set in several layouts from text whose structure is known."""
