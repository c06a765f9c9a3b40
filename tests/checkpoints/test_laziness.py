from __future__ import annotations

import subprocess
import sys


def test_importing_the_readers_does_not_import_torch() -> None:
    """So that the command line answers at once."""
    code = (
        "import sys, genpredict.checkpoints; print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
