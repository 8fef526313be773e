import sys

sys.exit("this release of @site@ ends the interpreter")
