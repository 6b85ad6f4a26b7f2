"""What `loadtest/run` is made of: peers and the gate (`context`), content (`content`), measuring in turns (`measure`), telling (`report`, `plot`)."""

import sys
from pathlib import Path

LOADTEST = Path(__file__).resolve().parents[1]
ROOT = LOADTEST.parent
FIXTURES = ROOT / "tests/fixtures/acme"
MIB = 1 << 20

# What the end-to-end tests have already: registries, layouts, certificates, servers with logs.
sys.path.append(str(ROOT / "tests/e2e"))
