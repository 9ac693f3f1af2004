"""The findings of a model folder, read without the network that made them."""

from counterpoint.errors import InputError
from counterpoint.findings import (
    ENSEMBLE_KIND,
    ENSEMBLE_SCHEMA,
    MODEL_KIND,
    MODEL_SCHEMA,
    RATINGS_KIND,
    RATINGS_SCHEMA,
    Findings,
    RatingsFindings,
)
from counterpoint.plain import StrPath, from_plain
from counterpoint.storage import folder_kind, read_folder

_FORMS = {
    ENSEMBLE_KIND: (ENSEMBLE_KIND, ENSEMBLE_SCHEMA),
    RATINGS_KIND: (RATINGS_KIND, RATINGS_SCHEMA),
}


def read_findings(path: StrPath) -> Findings | RatingsFindings:
    """Read what a model folder says of its fit and its updates; torch is not needed.

    Args:
        path: the folder; every byte of it is verified first.

    Raises:
        InputError: it is no model folder, is damaged or of another version, or holds no
            evaluation; a value that does not fit is named by its path.
    """
    found = folder_kind(path)
    kind, schema = _FORMS.get(found, (MODEL_KIND, MODEL_SCHEMA))
    folder = read_folder(path, kind=kind, schema=schema)
    if not folder.has("evaluation.json"):
        again = "; merge its sites again" if found == ENSEMBLE_KIND else ""
        raise InputError(f"{path}: holds no evaluation to report{again}")
    form = RatingsFindings if found == RATINGS_KIND else Findings
    return from_plain(form, folder.document("evaluation"), f"{path}: evaluation")
