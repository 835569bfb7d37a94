"""Where several processes test side by side (pytest -n), each computes with one thread."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch  # which reads the number of threads when it is imported

from sklearn_rnn.nets.recurrent import has_bf16


@pytest.fixture
def bf16_cpu():
    """For tests that compute in bfloat16."""
    if not has_bf16(torch.device("cpu")):
        pytest.skip("torch's LSTM computes in bfloat16 on CPUs with AVX512 alone")
