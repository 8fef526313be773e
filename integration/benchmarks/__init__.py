"""What the router costs, beside the application alone and beside mod-wsgi-van 1.0.0."""
