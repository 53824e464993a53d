"""The files of cluster/ray-up, as `ray up` reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "cluster" / "ray-up").glob("*.yaml"))


def prepared(path):
    """With Ray's defaults filled in, and valid by Ray's own schema."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(config)
    return config


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ray_takes_it_and_no_default_is_left_to_install_another_ray(path):
    config = prepared(path)
    commands = [command for key, value in config.items() if key.endswith("_commands") for command in value]
    for kind in config["available_node_types"].values():
        commands += [command for key, value in kind.items() if key.endswith("_commands") for command in value]
    assert commands and not [command for command in commands if "pip install" in command or "latest" in command]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ray_asks_for_a_token_keeps_its_dashboard_to_itself_and_tells_nobody(path):
    config = prepared(path)
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        (start,) = [command for command in config[key] if "ray start" in command]
        assert "RAY_AUTH_MODE=token" in start and "RAY_USAGE_STATS_ENABLED=0" in start and "0.0.0.0" not in start
    assert any("--dashboard-host=127.0.0.1" in command for command in config["head_start_ray_commands"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_secret_is_written_in_it(path):
    text = path.read_text()
    assert not [word for word in ("RAY_AUTH_TOKEN=", "AKIA", "aws_secret", "hf_", "BEGIN") if word in text]


def test_idle_gpus_of_the_cloud_are_given_back():
    config = prepared(ROOT / "cluster" / "ray-up" / "aws.yaml")
    assert config["available_node_types"]["gpu"]["min_workers"] == 0 and 0 < config["idle_timeout_minutes"] <= 15
    assert config["provider"]["cache_stopped_nodes"] is False


def test_a_word_that_ray_does_not_know_fails(tmp_path):
    from jsonschema import ValidationError

    path = tmp_path / "mistyped.yaml"
    path.write_text((ROOT / "cluster" / "ray-up" / "aws.yaml").read_text().replace("idle_timeout_minutes", "idle_minutes"))
    with pytest.raises(ValidationError, match="idle_minutes"):
        prepared(path)
