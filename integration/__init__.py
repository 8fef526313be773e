"""The router on real servers: a private httpd per test, gunicorn and waitress."""
