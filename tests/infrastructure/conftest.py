"""The template, as the local stack reads it, and as it stands."""

import pytest

from local import cloudformation
from local.cloudformation import Document
from local.template import Template
from tests.support import backend


@pytest.fixture(scope="session")
def template() -> Template:
    return backend.template()


@pytest.fixture(scope="session")
def document(template: Template) -> Document:
    return cloudformation.read(template.path, template.parameters)
