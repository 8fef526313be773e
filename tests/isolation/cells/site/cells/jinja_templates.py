import jinja2
import me

environment = jinja2.Environment(loader=jinja2.PackageLoader("package", "templates"))
environment.globals["owner"] = me.NAME


def run(turn):
    text = environment.get_template("page.html").render(items=range(turn % 3 + 1))
    return f"{jinja2.__version__} {text.strip()}"
