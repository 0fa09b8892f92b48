"""The process that converts models; conversions themselves are in test_model_files.py."""

import sys

import pytest

LIMITED = """
import resource
from fer_core.store.export import _limit_memory
_, hard = resource.getrlimit(resource.RLIMIT_AS)
if {before}:
    resource.setrlimit(resource.RLIMIT_AS, ({before}, hard))
_limit_memory()
print(resource.getrlimit(resource.RLIMIT_AS)[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux keeps such limits.")
def test_it_gets_no_more_memory_than_a_model_can_need_and_never_more_than_it_had(python):
    assert 0 < int(python(LIMITED.format(before=0)).stdout) <= 32 * 2**30
    assert int(python(LIMITED.format(before=8 * 2**30)).stdout) <= 8 * 2**30
