"""The sections of the report, one file each: `Findings` in, a `Section` of the page out.

`overview` (results against the baseline), `updates` (what was learnt since, with `changes` and
`moved` for its parts), `data` (columns), `training` (curves), `balance` (how several goals shared
the steps), `targets` (with `number` and `category` for their kinds), `importance`, `ignorance` (the
map), `known_least`, `embeddings`, and of a mixture `sites` alone. A section that has nothing to say
is None or says so in a sentence. A new section is one file and one line below.

>>> from counterpoint.findings import Findings
>>> empty = Findings("f", "", "", "", {}, 0, "", None, 0.0, [], [], [], [], [], [])
>>> [section.title for section in sections(empty)]
['Results', 'Training', 'The data']
"""

from counterpoint.findings import Findings
from counterpoint.report._parts import Section
from counterpoint.report.sections._balance import balance
from counterpoint.report.sections._data import data
from counterpoint.report.sections._embeddings import embedding_card, embeddings
from counterpoint.report.sections._ignorance import ignorance
from counterpoint.report.sections._importance import importance
from counterpoint.report.sections._known_least import known_least
from counterpoint.report.sections._overview import overview
from counterpoint.report.sections._sites import sites
from counterpoint.report.sections._targets import targets
from counterpoint.report.sections._training import training
from counterpoint.report.sections._updates import updates

__all__ = ["embedding_card", "sections"]


def sections(findings: Findings) -> list[Section]:
    """All sections that have something to say, in reading order."""
    mixture = sites(findings)
    if mixture is not None:
        return [mixture]
    parts = [
        updates(findings),
        overview(findings),
        *targets(findings),
        importance(findings),
        ignorance(findings),
        known_least(findings),
        training(findings),
        balance(findings),
        data(findings),
        embeddings(findings),
    ]
    return [section for section in parts if section is not None]
