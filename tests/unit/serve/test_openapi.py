"""The description of the interface: complete, and made of the records that it answers with."""

import json
import re

import pytest

from orchestrator.serve.application import ROUTES
from orchestrator.serve.openapi import described
from orchestrator.serve.served_models import Served
from tests.models import model

DOCUMENT = described([])


def test_every_route_is_described():
    routes = {(route.path, method.lower()) for route in ROUTES for method in route.methods}
    left_out = {("/", "get"), ("/openapi.json", "get"), ("/models/{name}", "post")}
    found = {
        (path, method)
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert found == {each for each in routes if each[1] != "head"} - left_out


def test_a_model_is_described_by_its_manifest(tmp_path):
    text = json.dumps(described([Served(model(tmp_path, "m"))]))
    operation = json.loads(text)["paths"]["/models/m"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert "text" in schema["properties"]
    assert operation["responses"]["default"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Error"
    }


def test_every_reference_leads_somewhere():
    names = re.findall(r"'#/components/schemas/(\w+)'", str(DOCUMENT))
    assert names
    assert set(names) <= set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("path", "kind", "field"),
    [
        ("/v1/audio/speech", "application/json", "voice"),
        ("/v1/audio/transcriptions", "multipart/form-data", "timestamp_granularities[]"),
        ("/v1/ocr", "application/json", "pages"),
        ("/v1/files", "multipart/form-data", "file"),
    ],
)
def test_a_body_has_its_fields(path, kind, field):
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"][kind]["schema"]
    name = body["$ref"].rpartition("/")[2]
    assert field in DOCUMENT["components"]["schemas"][name]["properties"]
