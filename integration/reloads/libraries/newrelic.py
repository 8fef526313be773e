"""newrelic>=9"""

import newrelic.agent


@newrelic.agent.wsgi_application()
def application(environ, start_response):
    return []


def use():
    newrelic.agent.global_settings().developer_mode = True
    return type(newrelic.agent.global_settings()).__name__
