"""The findings of a model folder, read without the network that made them."""

from counterpoint.errors import InputError
from counterpoint.findings import MODEL_KIND, MODEL_SCHEMA, Findings
from counterpoint.plain import StrPath, from_plain
from counterpoint.storage import read_folder


def read_findings(path: StrPath) -> Findings:
    """Read what a model folder says of its fit and its updates; torch is not needed.

    Args:
        path: the folder; every byte of it is verified first.

    Raises:
        InputError: it is no model folder, is damaged or of another version, or holds no
            evaluation; a value that does not fit is named by its path.
    """
    folder = read_folder(path, kind=MODEL_KIND, schema=MODEL_SCHEMA)
    if not folder.has("evaluation.json"):
        raise InputError(f"{path}: holds no evaluation to report")
    return from_plain(Findings, folder.document("evaluation"), f"{path}: evaluation")
