"""Events against their JSON Schema in the contract: whatever is published, in whichever test."""

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator

CONTRACT = (Path(__file__).resolve().parents[2] / "shared/contract.md").read_text(encoding="utf-8")
SCHEMA = json.loads(re.search(r"^```json\n(.*?)^```$", CONTRACT, re.MULTILINE | re.DOTALL)[1])


def names(entry):
    """The events that an entry of the schema is about."""
    event = entry["properties"]["event"]
    return event["enum"] if "enum" in event else [event["const"]]


def _validators():
    """Event -> what checks it. To go through all entries of the schema for each event would take its time."""
    common = {name: value for name, value in SCHEMA.items() if name != "oneOf"}
    return {
        name: Draft202012Validator({**common, "allOf": [entry]}) for entry in SCHEMA["oneOf"] for name in names(entry)
    }


BY_NAME = _validators()


def misfits(events):
    """Those that are not as the contract says, and why, a text each."""
    for event in events:
        check = BY_NAME.get(event.get("event"))
        errors = [error.message for error in check.iter_errors(event)] if check else ["there is no such event"]
        if errors:
            yield f"an event is not as the contract says: {'; '.join(errors)}: {json.dumps(event)}"
