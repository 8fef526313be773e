"""opentelemetry-sdk>=1.20"""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)


def use():
    with trace.get_tracer("a").start_as_current_span("b") as span:
        name = span.name
    provider.force_flush()
    return f"{name} {exporter.get_finished_spans()[0].name}"
