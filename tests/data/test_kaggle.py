"""--data kaggle, with the real kagglehub and a cache folder laid out as it lays one out. Needs no network."""

import sys

import pytest

from fer_core.data.sources import KAGGLE_HANDLE
from fer_core.errors import DatasetError


@pytest.fixture
def kaggle_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    return tmp_path / "kagglehub" / "datasets" / KAGGLE_HANDLE


def test_a_downloaded_copy_is_used_without_the_network(load, fill, kaggle_cache):
    fill(kaggle_cache / "train", 10)
    fill(kaggle_cache / "test", 4, first=1000)
    (kaggle_cache.parents[1] / "1.complete").touch()
    dataset = load("kaggle")
    assert (dataset.name, dataset.source) == ("fer2013", "kaggle")
    assert len(dataset.test) == 12


def test_a_download_that_fails_is_said_with_the_way_around_it(load, kaggle_cache, paths):
    with pytest.raises(DatasetError, match="FER-2013 could not be downloaded from Kaggle: ") as caught:
        load("kaggle")
    assert "https://www.kaggle.com/datasets/msambare/fer2013" in caught.value.hint
    assert not paths.cache.exists()


def test_without_kagglehub_the_hint_is_how_to_install_it(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DatasetError, match="needs kagglehub, which is not installed") as caught:
        load("kaggle")
    assert caught.value.hint == "pip install kagglehub"
