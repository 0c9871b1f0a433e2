"""The tests: unit (no process, no network), contract, integration (real environments), manual."""
