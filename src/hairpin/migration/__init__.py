"""Settings of other TURN servers, read as hairpin's: `hairpin import`."""

from hairpin.migration.imported import Imported, Kind, import_file

__all__ = ["Imported", "Kind", "import_file"]
