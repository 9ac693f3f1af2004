"""Models of sites become one without their rows: exactly over one trunk, else as a mixture."""

from counterpoint.table.merge._ensemble import TableEnsemble
from counterpoint.table.merge._merge import (
    MergedTables,
    load_tables,
    merge_tables,
)

__all__ = ["MergedTables", "TableEnsemble", "load_tables", "merge_tables"]
