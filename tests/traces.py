"""Whether a trace is what viewers of Chrome's Trace Event Format take."""

import json
from collections import defaultdict

PHASES = {"X", "M", "b", "e", "C", "s", "f"}


def check_trace(trace):
    """Check the rules of the format that viewers rely on; return the events by phase."""
    trace = json.loads(json.dumps(trace, allow_nan=False))
    by_phase, rows = defaultdict(list), defaultdict(list)
    for event in trace["traceEvents"]:
        assert event["ph"] in PHASES
        assert isinstance(event["name"], str)
        assert event["name"]
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        by_phase[event["ph"]].append(event)
        if event["ph"] == "M":
            continue
        assert isinstance(event["ts"], int)
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
            rows[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for slices in rows.values():
        _check_nesting(slices)
    _check_pairs(by_phase["b"], by_phase["e"])
    _check_pairs(by_phase["s"], by_phase["f"])
    for flow in by_phase["s"] + by_phase["f"]:
        inside = rows[flow["pid"], flow["tid"]]
        assert any(began <= flow["ts"] <= ended for began, ended in inside)
    named = {(event["pid"], event["tid"]) for event in by_phase["M"]}
    assert set(rows) <= named
    return by_phase


def _check_nesting(slices):
    """Slices of a row lie beside or within each other."""
    open_until = []
    for began, ended in sorted(slices, key=lambda each: (each[0], -each[1])):
        while open_until and open_until[-1] <= began:
            open_until.pop()
        assert not open_until or ended <= open_until[-1]
        open_until.append(ended)


def _check_pairs(opening, closing):
    def key(event):
        return event["cat"], event["id"], event.get("pid") if event["ph"] in "be" else None

    began = {key(event): event["ts"] for event in opening}
    assert len(began) == len(opening) == len(closing)
    for event in closing:
        assert began[key(event)] <= event["ts"]
