"""The project's instrument: hairpin, its peers and the floor under the same load (see README.md here)."""
