from __future__ import annotations

import pytest
from primitives import Primitives


@pytest.fixture(scope="session")
def p(native) -> Primitives:
    return Primitives(native)
