"""The landscape lab as one HTML page that opens offline: fields, walks over them, alarms.

In goes a `counterpoint.recipe.Lab`: how many goals, and two ways to share the steps. Out comes a
page on which both are seen from the same starts, with stories of how walks get stuck, the law of
p^n and the effect of more goals. Everything on it is drawn and counted here, so that it can be
read without script; the script beside it has the same noise, rules, optimisers and monitor, to
rounding, and lets a reader change all of them.
"""

from counterpoint.landscape.page._page import LabPage, lab_page

__all__ = ["LabPage", "lab_page"]
