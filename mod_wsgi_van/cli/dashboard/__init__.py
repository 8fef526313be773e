"""A page, and metrics, of what the daemon's processes answer about their sites."""
