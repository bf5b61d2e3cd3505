"""coordinator/web/openapi.json is true: each operation is called with what it says is right, and with what is not, and
status and body of each answer are among those it tells."""

import json
import re
import string
import tempfile
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import strategies as st

from shoal import ROOT

HOME = tempfile.TemporaryDirectory(prefix="shoal-hypothesis-")  # nothing is left in the tree
configuration.set_hypothesis_home_dir(HOME.name)
DOCUMENT = json.loads((ROOT / "coordinator" / "web" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [
    pytest.param(path, method, id=operation["operationId"])
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]
EXAMPLES = 25
MOST_ITEMS = 3  # of a list that is made up: each channel is really joined
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)
JUNK = st.one_of(st.none(), st.booleans(), st.integers(), TEXT, st.lists(st.integers(), max_size=2), st.just({}))
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def resolve(node):
    """What a $ref stands for."""
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def made_of(schema):
    """A strategy for what the schema takes."""
    schema = resolve(schema)
    if "oneOf" in schema:
        return st.one_of([made_of(each) for each in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if schema["type"] == "string" and "pattern" in schema:
        return st.from_regex(schema["pattern"].replace("$", r"\Z"))
    if schema["type"] == "string":
        text = st.text(string.printable[:95], min_size=schema.get("minLength", 0), max_size=40)
        return text
    if schema["type"] == "array":
        return st.lists(made_of(schema["items"]), min_size=schema.get("minItems", 0), max_size=MOST_ITEMS)
    assert schema["type"] == "object", schema
    members = {name: made_of(each) for name, each in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: members.pop(name) for name in schema["required"]}, optional=members
    )


@st.composite
def spoiled(draw, schema):
    """What is nearly right, and mostly wrong."""
    good = draw(made_of(schema))
    if not isinstance(good, dict):
        return draw(JUNK)
    name = draw(st.one_of(st.sampled_from(sorted(good)), TEXT))
    if draw(st.booleans()):
        good.pop(name, None)
    else:
        good[name] = draw(JUNK)
    return good


def check(operation, answer):
    """The answer is one of those that are told."""
    assert str(answer.status) in operation["responses"], (answer.status, answer.body)
    content = resolve(operation["responses"][str(answer.status)]).get("content", {})
    if not content:
        assert answer.body == b""
        return
    assert answer.headers["content-type"] in content
    schema = {**content[answer.headers["content-type"]]["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json)


def parameters(operation, where, strategy):
    return st.fixed_dictionaries(
        {p["name"]: strategy(p["schema"]) for p in operation.get("parameters", []) if p["in"] == where and where == "path"},
        optional={p["name"]: strategy(p["schema"]) for p in operation.get("parameters", []) if p["in"] == where and where != "path"},
    )


def call(served, path, method, named, query, body):
    for name, value in named.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    target = path + ("?" + urlencode(query) if query else "")
    if method == "get":
        return served.api.ask("GET", target)
    return served.api.post(target.removeprefix("/api/v1/"), body)


@pytest.mark.parametrize("path, method", OPERATIONS)
def test_what_is_right_is_answered_as_described(served, path, method):
    operation = DOCUMENT["paths"][path][method]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")

    @quick
    @given(
        parameters(operation, "path", made_of),
        parameters(operation, "query", made_of),
        made_of(body) if body else st.none(),
    )
    def once(named, query, body):
        answer = call(served, path, method, named, query, body)
        check(operation, answer)
        expected = (200, 404, 426) if method == "get" else (200,)
        assert answer.status in expected, (named, query, body, answer.body)

    once()


@pytest.mark.parametrize("path, method", OPERATIONS)
def test_what_is_wrong_is_refused_as_described(served, path, method):
    operation = DOCUMENT["paths"][path][method]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    taken = {**body, "components": DOCUMENT["components"]} if body else None

    @quick
    @given(
        parameters(operation, "path", lambda _: TEXT.filter(lambda text: text not in ("", ".", ".."))),
        parameters(operation, "query", lambda _: TEXT),
        spoiled(body) if body else st.none(),
    )
    def once(named, query, body):
        answer = call(served, path, method, named, query, body)
        check(operation, answer)
        if taken and not jsonschema.Draft202012Validator(taken).is_valid(body):
            assert answer.status == 400, (body, answer.body)

    once()


@pytest.mark.parametrize("path, method", OPERATIONS)
def test_who_has_no_token_may_do_no_more_than_is_described(served, path, method):
    operation = DOCUMENT["paths"][path][method]
    target = re.sub(r"{\w+}", "alpha", path)
    answer = served.api.ask(method.upper(), target)
    check(operation, answer)
    assert (answer.status == 401) == bool(operation["security"])
    wrong = served.api.ask(method.upper(), target, authorization="Bearer wrong")
    check(operation, wrong)
    assert wrong.status in (401, 429)  # ten in a second are told so


def test_every_figure_of_a_row_is_described():
    text = (ROOT / "shared" / "figures.h").read_text(encoding="utf-8")
    for kind in ("Node", "Shard", "Channel", "Account"):
        block = re.search(rf"FIGURES_OF_{kind.upper()}\(X\)(.*?)\n\n", text, re.DOTALL)[1]
        rows = set(re.findall(r"X\((\w+),", block))
        assert rows and rows == set(DOCUMENT["components"]["schemas"][kind]["properties"]), kind


def test_every_member_of_the_document_is_described(served):
    assert set(served.api.got("status")) <= set(DOCUMENT["components"]["schemas"]["Status"]["properties"])


def test_every_route_is_described():
    text = (ROOT / "coordinator" / "web" / "coordinator_web.c").read_text(encoding="utf-8")
    routes = set(re.findall(r'\.method = "(\w+)", \.path = "(/api/v1/[^"]+)"', text))
    described = {
        (method.upper(), re.sub(r"{\w+}", "*", path)) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert routes == described
