import pkg_resources
import setuptools


def run(turn):
    found = pkg_resources.get_distribution("flask").version
    text = pkg_resources.resource_string("package", "data.txt").decode().strip()
    (point,) = pkg_resources.iter_entry_points("cells.things")
    return f"{found} {text} {setuptools.__version__} {point.load().owner}"
