"""`python -m orchestrator` is `mm`."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
