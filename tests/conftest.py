"""What all tests share: the seed, databases in a temporary folder, and the check of every file a test leaves.

The seed of everything random comes from ENTITYDB_TEST_SEED (printed at the top of the run; set it to repeat one).
"""

from __future__ import annotations

import os
import random

import hypothesis
import pytest

SEED = int(os.environ.get("ENTITYDB_TEST_SEED") or random.SystemRandom().randrange(2**32))
os.environ["ENTITYDB_TEST_SEED"] = str(SEED)  # for the workers of pytest-xdist and whatever else a test starts

# Upkeep in the background makes commits of its own, which tests of pages, numbers and failpoints do not expect. Tests
# of the upkeep ask for it; with ENTITYDB_PACKING=on every test runs beside it.
os.environ.setdefault("ENTITYDB_PACKING", "off")

# Examples are found anew in each run but follow from the seed; a slow machine is no failure.
hypothesis.settings.register_profile(
    "entitydb", deadline=None, database=None, print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("entitydb")


def pytest_report_header() -> str:
    return f"ENTITYDB_TEST_SEED={SEED}"


def pytest_configure(config: pytest.Config) -> None:
    # hypothesis takes its seed from this option; one given on the command line wins.
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)


@pytest.fixture
def seed() -> int:
    """The seed of this run; print what else is needed to repeat a failure."""
    return SEED


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """A generator of its own for each test, so that one test alone repeats what it did in the whole run."""
    return random.Random(f"{SEED}:{request.node.nodeid}")


@pytest.fixture(scope="session")
def native():
    """The engine's binding, of a test build: what tests look at is declared only there."""
    from entitydb_dialect import _native

    if not _native.lib.edb_is_test_build():
        pytest.exit("the engine was built without its test hooks: build with ENTITYDB_BUILD=test", returncode=4)
    return _native
