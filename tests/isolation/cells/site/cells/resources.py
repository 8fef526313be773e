import importlib.resources
import pkgutil


def run(turn):
    text = importlib.resources.files("package").joinpath("data.txt").read_text()
    raw = pkgutil.get_data("package", "data.txt").decode()
    with importlib.resources.as_file(importlib.resources.files("package") / "data.txt") as path:
        seen = path.read_text()
    return f"{text.strip()} {raw.strip()} {seen.strip()}"
