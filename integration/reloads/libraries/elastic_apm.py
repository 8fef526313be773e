"""elastic-apm>=6.19"""

import elasticapm

client = elasticapm.Client(service_name="a", server_url="http://127.0.0.1:1", disable_send=True)
elasticapm.instrument()


def use():
    client.begin_transaction("request")
    return client.end_transaction("a", "ok").name
