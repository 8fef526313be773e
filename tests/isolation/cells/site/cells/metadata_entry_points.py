import importlib.metadata as metadata


def run(turn):
    (point,) = metadata.entry_points(group="cells.things")
    names = sorted(d.metadata["Name"].lower() for d in metadata.distributions())
    kind = point.load()
    version = metadata.version("cells-dist")
    assert "watchdog" not in names, "the daemon's own environment shows"
    return f"{kind.owner} {version} {metadata.version('flask')}"
