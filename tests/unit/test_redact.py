"""Secrets do not leave as text: what counts as one, and the places that text leaves by."""

from __future__ import annotations

import json
import logging
import pickle

import pytest

from divscale.cli import main
from divscale.endings import unforeseen
from divscale.errors import DataError
from divscale.graph.store import Store
from divscale.live import Run
from divscale.redact import MASK, redact, redact_all, remember
from divscale.run import keep_log

TOKEN = "hf_QwErTy0123456789"


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                  "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "RAY_AUTH_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PGPASSWORD", "AZURE_STORAGE_KEY",
                                  "DB_PASS", "GITHUB_TOKEN", "CLIENT_SECRET_VALUE", "AZURE_STORAGE_CONNECTION_SAS", "GOOGLE_CREDENTIALS"])
def test_the_value_of_a_variable_whose_name_says_secret_is_masked(monkeypatch, name):
    monkeypatch.setenv(name, TOKEN)
    assert redact(f"401 for '{TOKEN}' (Bearer {TOKEN}), x={TOKEN}&y") == f"401 for '{MASK}' (Bearer {MASK}), x={MASK}&y"


@pytest.mark.parametrize("name", ["RAY_AUTH_MODE", "HOME", "TOKENIZERS_PARALLELISM", "KEYBOARD", "MONKEY_BUSINESS", "TOKEN_COUNT"])
def test_other_variables_are_no_secrets(monkeypatch, name):
    monkeypatch.setenv(name, "parallelism")
    assert redact("parallelism") == "parallelism"


def test_a_value_within_a_longer_word_and_a_short_one_stay(monkeypatch):
    monkeypatch.setenv("OWN_KEY", "12345678")
    monkeypatch.setenv("OTHER_KEY", "on")
    assert redact("sha256 ab12345678ff, on, 12345678") == f"sha256 ab12345678ff, on, {MASK}"


@pytest.mark.parametrize(("text", "without"), [
    ("https://ann:pa55-w0rd@host/x?y=1 is down", f"https://{MASK}@host/x?y=1 is down"),
    ("https://ann:pa/ss:w@rd@host/x", f"https://{MASK}@host/x"),
    ("s3://AKIAXYZ:abc%2Fdef@bucket/rows.parquet", f"s3://{MASK}@bucket/rows.parquet"),
    ("https://hf_abcdef@host/x", f"https://{MASK}@host/x"),
    ("postgresql+psycopg://u:p@h/db", f"postgresql+psycopg://{MASK}@h/db"),
    ("http://h/x?a=1&api_key=abc&b=2", f"http://h/x?a=1&api_key={MASK}&b=2"),
    ("s3://bucket/x?access_key=AK&secret_key=SK", f"s3://bucket/x?access_key={MASK}&secret_key={MASK}"),
    ("https://h/x?X-Amz-Signature=abc", f"https://h/x?X-Amz-Signature={MASK}")])
def test_credentials_in_addresses_are_masked(text, without):
    assert redact(text) == without


@pytest.mark.parametrize("text", ["http://127.0.0.1:8000/v1", "write to ann@host", "hf://datasets/a/b@main/x", "s3://bucket/a b@c", "a: b@c", "https://host/@user"])
def test_addresses_without_credentials_stay(text):
    assert redact(text) == text


def test_what_an_address_held_is_masked_where_it_stands_alone_too(monkeypatch):
    monkeypatch.setattr("divscale.redact._met", set())
    remember("s3://AKIAEXAMPLE1:wJalr%2FEXAMPLE@bucket/x")
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:pr0xy-pass@proxy:8080")
    assert redact("no key AKIAEXAMPLE1 (wJalr/EXAMPLE), proxy said pr0xy-pass") == f"no key {MASK} ({MASK}), proxy said {MASK}"


def test_values_of_json_are_masked_and_keys_stay(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert redact_all({"HF_TOKEN": [TOKEN, 1, {"a": f"x {TOKEN}"}], "n": None}) == {"HF_TOKEN": [MASK, 1, {"a": f"x {MASK}"}], "n": None}


def test_no_error_log_or_traceback_holds_a_secret(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    error = DataError(f"the server says {TOKEN} is no token")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == f"the server says {MASK} is no token"
    keep_log(Store(tmp_path), Run("mine", tmp_path))
    try:
        raise RuntimeError(f"engine: {TOKEN}")
    except RuntimeError as raised:
        logging.getLogger("divscale.x").exception("sent %s", TOKEN)
        unforeseen(raised, resumes=True)
    said = capsys.readouterr().err
    (log,) = (tmp_path / "logs").iterdir()
    from pathlib import Path
    story = Path(said.partition("story is in ")[2].partition(";")[0]).read_text()
    assert f"engine: {MASK}" in said and f"engine: {MASK}" in story and log.read_text().count(MASK) == 2
    assert TOKEN not in said + story + log.read_text()


@pytest.mark.parametrize(("change", "told"), [
    ("generator.engine.api_key=sk-planted-31415926", "unknown key generator.engine.api_key"),
    ("generator.api_key=sk-planted-31415926", "unknown key generator.api_key"),
    ("generator={model: m, engine: {engine: openai, base_url: 'https://ann:sk-planted-31415926@host/v1'}}", "the key comes from OPENAI_API_KEY"),
    ("generator={model: m, engine: {engine: openai, base_url: 'https://host/v1?api_key=sk-planted-31415926'}}", "the key comes from OPENAI_API_KEY"),
    ("data.source='s3://AKIAEXAMPLE1:sk-planted-31415926@bucket/x.parquet'", "take them out of the address")])
def test_a_secret_written_into_a_study_is_refused_and_not_repeated(tmp_path, capsys, change, told):
    study = tmp_path / "study.yaml"
    study.write_text(json.dumps({"name": "s", "data": {"source": "pydocs", "labelled": [2]}, "recipe": {"kind": "decoding"}}))
    assert main(["plan", str(study), change, "--store", str(tmp_path / "store")]) == 2
    said = capsys.readouterr().err
    assert told in said and "31415926" not in said
