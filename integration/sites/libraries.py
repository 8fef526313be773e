"""The libraries of vhosts, in versions that differ."""

from __future__ import annotations

FLASK2 = ("flask==2.3.3", "werkzeug==2.3.8")
FLASK3 = ("flask==3.1.2", "werkzeug==3.1.3")
DJANGO4 = ("django==4.2.16",)
DJANGO5 = ("django==5.2.8",)
NUMPY2 = ("numpy==2.3.4",)
