"""What the tests, the integration tests and the benchmarks share."""
