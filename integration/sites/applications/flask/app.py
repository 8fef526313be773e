import os
import uuid
from importlib.metadata import version

import flask
import helper

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]
app = flask.Flask(__name__)


@app.route("/")
def index():
    text = flask.render_template_string("{{ seen() | join(',') }}", seen=helper.seen)
    return flask.jsonify(
        load=LOAD,
        pid=os.getpid(),
        library=version("flask"),
        seen=[SEEN, helper.seen(), text.split(",")],
    )


@app.route("/light")
def light():
    return flask.jsonify(load=LOAD)
