"""Ways to serve vhosts under httpd: this router's two isolations, gunicorn, daemon groups."""
