"""A private httpd whose configuration is the README's."""
