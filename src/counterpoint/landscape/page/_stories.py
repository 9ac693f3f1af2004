"""What each preset shows, in a title and a line."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Story:
    """A preset in words.

    Attributes:
        title: of its button and card.
        line: what to see, in one or two sentences.
        failure: the alarm that the first walk sets off, as the monitor calls it; none if empty.
    """

    title: str
    line: str
    failure: str = ""


STORIES: dict[str, Story] = {
    "alternation": Story(
        "Alternation against the sum",
        "Sixteen goals. The sum rolls into the nearest valley of the average and stays. One goal a "
        "step, drawn by lot, is restless everywhere except where all goals are at rest.",
    ),
    "momentum": Story(
        "Does momentum help?",
        "The sum again, now with momentum 0.9: walks roll farther, and still end in valleys that "
        "the goals do not share.",
        "standoff",
    ),
    "standoff": Story(
        "Standoff",
        "Two goals pull in opposite directions with equal force. The step is zero, neither goal is "
        "content: a compromise that looks like convergence.",
        "standoff",
    ),
    "desert": Story(
        "Desert",
        "Alternation with a step too long: every goal throws the walk about, and it wanders "
        "without end. The same rule with a shorter step arrives.",
        "desert",
    ),
    "oscillation": Story(
        "Oscillation",
        "Always following the steepest goal, a walk swings across a ridge where two goals take "
        "turns at being steepest. Drawing lots breaks the cycle.",
        "oscillation",
    ),
    "obnoxious": Story(
        "Obnoxious teammate",
        "Goal 1 is quiet in its valley and sudden on its hills. In a sum it takes the step over "
        "and throws the others back; when goals take turns it has only its own.",
        "obnoxious",
    ),
}
"""By name, in the order in which they are told; the settings are `LAB_PRESETS` of the recipe."""

RULE_TITLES = {
    "mean": "the sum",
    "impartial": "impartial, 1/|g|",
    "magnitude": "by magnitude, |g|",
    "largest-gradient": "largest gradient",
    "alternation": "alternation",
    "alternation-magnitude": "alternation by |g|",
}
"""What the page calls the rules of `counterpoint.recipe.LAB_RULES`."""

OWN = "Settings of your own: the same starts, two ways to walk."
