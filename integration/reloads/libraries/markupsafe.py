"""markupsafe>=2.0,<3
markupsafe>=3
"""

from markupsafe import Markup, escape

OPTIONAL = "escaping"  # what its compiled part makes faster


class Html:
    def __html__(self):
        return Markup("<i>")


def use():
    assert type(escape("<b>")) is Markup and escape(Html()) == "<i>"
    return escape("<b>") + Markup("%s") % "&"
