"""``Submission.show()``: the learning curve as it grows, in a notebook or as lines."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.client import Client
    from client.records import Event, Submission


def show(service: Client, submission_id: str) -> Submission:
    """Follow to the end; each new point redraws the service's own picture of the curve."""
    display = _open_display()
    for event in service.events(submission_id):
        if not (words := _say(event)):
            continue
        if display is None:
            print(words)  # noqa: T201 where there is no notebook this is the output
        else:
            display.update(_page(service.curve_svg(submission_id), words))
    return service.get(submission_id)


def _open_display() -> Any:
    """IPython's handle of a new output; ``None`` outside of a notebook."""
    if find_spec("IPython") is None:
        return None
    from IPython import get_ipython
    from IPython.display import HTML, display

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return display(HTML(""), display_id=True)


def _page(svg: str, words: str) -> Any:
    from IPython.display import HTML

    return HTML(f'<div style="max-width: 40em">{svg}<p>{escape(words)}</p></div>')


def _say(event: Event) -> str:
    """What has just happened, in a line; nothing of a log."""
    data = event.data
    match event.kind:
        case "state":
            return f"{data['state']}: {data['cause']}"
        case "queue":
            return str(data["status_reason"])
        case "point":
            return "{seconds:.1f} s: NAUC {nauc}, ALC so far {alc}".format_map(_round(data))
        case "done":
            return f"{data['state']}: {data['status_reason']}"
    return ""


def _round(values: dict[str, Any]) -> dict[str, Any]:
    scores = {key: values[key] for key in ("nauc", "alc")}
    return values | {key: "–" if v is None else f"{v:.4f}" for key, v in scores.items()}
