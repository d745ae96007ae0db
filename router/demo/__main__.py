"""`python -m router.demo`, which is what `edge-router demo` runs."""

import sys

from router.demo.play import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
