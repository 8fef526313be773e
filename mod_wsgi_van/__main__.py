"""python -m mod_wsgi_van."""

import sys

from mod_wsgi_van.cli import main

if __name__ == "__main__":
    sys.exit(main())
