"""The findings of a model folder, read without the network that made them."""

from counterpoint.errors import InputError
from counterpoint.findings import ENSEMBLE_KIND, ENSEMBLE_SCHEMA, MODEL_KIND, MODEL_SCHEMA, Findings
from counterpoint.plain import StrPath, from_plain
from counterpoint.storage import folder_kind, read_folder


def read_findings(path: StrPath) -> Findings:
    """Read what a model folder says of its fit and its updates; torch is not needed.

    Args:
        path: the folder; every byte of it is verified first.

    Raises:
        InputError: it is no model folder, is damaged or of another version, or holds no
            evaluation; a value that does not fit is named by its path.
    """
    mixture = folder_kind(path) == ENSEMBLE_KIND
    kind, schema = (ENSEMBLE_KIND, ENSEMBLE_SCHEMA) if mixture else (MODEL_KIND, MODEL_SCHEMA)
    folder = read_folder(path, kind=kind, schema=schema)
    if not folder.has("evaluation.json"):
        again = "; merge its sites again" if mixture else ""
        raise InputError(f"{path}: holds no evaluation to report{again}")
    return from_plain(Findings, folder.document("evaluation"), f"{path}: evaluation")
