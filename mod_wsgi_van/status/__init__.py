"""What a daemon process tells of itself and its sites, on a socket of its own.

In ``status_directory`` each process listens on a socket that is named by its pid. A question is one
line of JSON, {"ask": "status"}, {"ask": "restart", "site": NAME} or {"ask": "drain"}; a status may
name a site as well. The answer is a line for the process, one for each site, and the end. The
``report`` makes the lines, the ``listener`` is the socket and its thread.
"""
