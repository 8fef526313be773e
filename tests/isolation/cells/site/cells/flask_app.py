import importlib.metadata

import me
from flask import Flask, jsonify, render_template_string, request, session

flask = Flask("things")
flask.secret_key = me.NAME


@flask.route("/<word>")
def show(word):
    session["word"] = word
    text = render_template_string("{{ word|upper }} {{ owner }}", word=word, owner=me.NAME)
    return jsonify(text=text, arg=request.args["arg"], path=flask.root_path.split("/")[-2])


def run(turn):
    answer = flask.test_client().get(f"/w{turn % 3}?arg=x")
    versions = [importlib.metadata.version(name) for name in ("flask", "werkzeug")]
    return f"{answer.status_code} {answer.json['text']} {answer.json['arg']} {versions}"
