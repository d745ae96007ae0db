"""`python -m router` is `edge-router`."""

from router.cli import main

if __name__ == "__main__":
    main(prog_name="edge-router")
