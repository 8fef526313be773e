"""Host many Python web applications on one Apache by nothing but directories.

The wsgi file of the one mod_wsgi daemon:

    from mod_wsgi_van import Router
    application = Router(base_path="/var/www").application
"""

from mod_wsgi_van.router import Router
from mod_wsgi_van.wsgi import Environ, Response, StartResponse

__all__ = ["Environ", "Response", "Router", "StartResponse"]
