"""What a submission waits for, or how it ended, in the language of the page.

The service and the programs of runs say it in English, with names and numbers in it. A reason that
is none of those below stays as it is, and the page says that it is English.
"""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup

from service.web.formats import mark_code
from service.web.language import ENGLISH, N_, get_language, gettext

REASONS = (
    N_("%(first)s Waiting for a free slot to start again."),
    N_("Being canceled: waiting for its programs to end."),
    N_("Canceled."),
    N_("Checking the data."),
    N_("Fetching and unpacking the data."),
    N_("Formatting the data: %(percent)s %%."),
    N_("It was canceled before its start."),
    N_("No slot became free in time. Submit again when the queue is shorter."),
    N_("Nobody started the run in time. To run the same data, submit them again."),
    N_("Scoring the last predictions."),
    N_("Starting."),
    N_("Storing the results."),
    N_("The bundle was uploaded."),
    N_("The check ended."),
    N_("The cluster starts the run's pod."),
    N_("The data passed the check."),
    N_("The run could not be started."),
    N_("The run disappeared."),
    N_("The run ended with a result."),
    N_("The run ended."),
    N_("The run was ended early."),
    N_("The run is being ended."),
    N_("The run recorded no outcome."),
    N_("The run started: the solution has %(seconds)s seconds."),
    N_("The run was stopped: it took longer than all its limits together."),
    N_("The run's supervisor died."),
    N_("The same data are to be run again."),
    N_("The solution has stopped."),
    N_("The solution is at work."),
    N_("The solution is being loaded."),
    N_("The solution is learning."),
    N_("The solution was killed; what it left is being stored."),
    N_("Waiting for a free slot."),
    N_("Waiting for a free slot: 1 submission is ahead."),
    N_("Waiting for a free slot: %(number)s submissions are ahead."),
    N_("Waiting for a free slot: about %(number)s submissions are ahead."),
    N_("Waiting for a node that is free: %(why)s"),
    N_("Waiting for one of your own runs to end: %(number)s may be at work at once."),
    N_("Waiting for the cluster to make room; its quota may be used up."),
    N_("Waiting for the data to be checked."),
    N_("Waiting for the data to be checked: 1 submission is ahead."),
    N_("Waiting for the data to be checked: %(number)s submissions are ahead."),
    N_("Waiting for the data to be checked: about %(number)s submissions are ahead."),
    N_("Waiting for the last predictions to be scored and stored."),
    N_("Waiting for you to start the run, until %(time)s UTC."),
    N_("Waiting in the cluster's queue."),
    N_("You have seen the report and started the run."),
)
_VALUE = re.compile(r"%\\\((\w+)\\\)s")


def find_reason(text: str) -> str | None:
    """The reason in the language of the page; ``None`` for one that is not known."""
    for reason, pattern in _compile():
        if found := pattern.fullmatch(text):
            values = found.groupdict()
            if "first" in values:  # a reason before another
                values["first"] = find_reason(values["first"]) or values["first"]
            return gettext(reason, **values)
    return None


def say_reason(text: str) -> Markup:
    """For a page; what is known in English only is marked as such."""
    if not text or get_language() == ENGLISH:
        return mark_code(text)
    if (translated := find_reason(text)) is not None:
        return mark_code(translated)
    return Markup('<span lang="en">{}</span>').format(mark_code(text))


@cache
def _compile() -> tuple[tuple[str, re.Pattern[str]], ...]:
    def compile_one(reason: str) -> re.Pattern[str]:
        escaped = re.escape(reason).replace("%%", "%")
        return re.compile(_VALUE.sub(r"(?P<\1>.+?)", escaped))

    strictest_first = sorted(REASONS, key=lambda reason: ("%(" in reason, -len(reason)))
    return tuple((reason, compile_one(reason)) for reason in strictest_first)
