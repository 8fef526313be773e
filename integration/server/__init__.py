"""A private httpd whose configuration is the manual's."""
