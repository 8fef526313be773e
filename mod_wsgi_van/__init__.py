"""Host many Python web applications on one Apache by nothing but directories.

The wsgi file of the one mod_wsgi daemon:

    from mod_wsgi_van import Router
    application = Router(base_path="/var/www").application
"""

from .isolation.contract import Environ, Response, StartResponse
from .router import Router

__all__ = ["Environ", "Response", "Router", "StartResponse"]
