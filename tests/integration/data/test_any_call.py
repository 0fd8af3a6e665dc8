"""Requests drawn from our own OpenAPI document: what it promises is what comes."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway import openapi
from tests.integration.data.conftest import Target

FULL = bool(os.environ.get("FULL"))
EXAMPLES = 2_000 if FULL else 6
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]

document = schemathesis.openapi.from_dict(openapi.document())
document.config.phases.coverage.enabled = FULL


@pytest.mark.timeout(3600 if FULL else 120)
@document.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case, target: Target) -> None:
    before = len(target.errors)

    answer = target.send(case.as_transport_kwargs(base_url="http://localhost"))

    case.validate_response(answer, checks=CHECKS)
    assert target.errors[before:] == []
