"""The package whose modules are imported while requests are handled."""
