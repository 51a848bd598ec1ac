"""The version of hairpin, one place for the package, SOFTWARE and the API."""

__version__ = "0.1.0"
