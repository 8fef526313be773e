"""python -m mod_wsgi_van.manual: write the generated parts of the pages anew, in a checkout."""

from pathlib import Path

from mod_wsgi_van.manual import generated

for page in Path(__file__).parent.glob("*.md"):
    page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
