"""`divscale bench` refuses what cannot be before anything starts."""

import pytest

from divscale.bench.devices import Devices, check_gpu, check_room, disk_bytes
from divscale.bench.parts.pipeline import study
from divscale.bench.sizes import SIZES
from divscale.cli import main
from divscale.errors import PreflightError
from divscale.runtime.resources import Resources

GIB = 2**30
CORES = Devices(gpus=False, count=2, cores=2)


@pytest.mark.parametrize(("words", "code", "said"), [
    (["flying"], 2, "bench: there is no part 'flying'; there are generation, similarity, embedding, training, pipeline."),
    (["--over", "1,x"], 2, "--over: '1,x' is no list of numbers of devices; write it as 1,2,4."),
    (["--over", "0"], 2, "--over: '0' is no list of numbers of devices"),
    (["--over", "1,5000"], 3, "--over: 5000 devices are asked for and "),
    (["--json", "no/where.json"], 2, "--json: no/where.json cannot be written, because its folder does not exist."),
    (["--cluster", "nowhere.yaml"], 2, "nowhere.yaml: no such cluster file."),
    (["--cluster", "odd.yaml"], 2, "odd.yaml: unknown key gpu")])
def test_a_command_that_cannot_be_ends_in_one_paragraph(words, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "odd.yaml").write_text("gpu: 1\n", "utf-8")
    assert main(["bench", *words]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"divscale: {said}") and error.count("\n") == 1


def test_models_on_a_ray_of_several_nodes_need_a_folder_that_all_see(monkeypatch, capsys):
    from divscale.bench import command

    monkeypatch.setattr(command, "devices_of", lambda _: Devices(gpus=True, count=16, cores=64, nodes=2))
    monkeypatch.delenv("DIVSCALE_STORE", raising=False)
    assert main(["bench"]) == 3
    assert "by all 2 nodes of this Ray. Set DIVSCALE_STORE to a folder that they all see." in capsys.readouterr().err


def test_memory_disk_and_gpus_are_looked_at_before_anything_starts(tmp_path, monkeypatch):
    from divscale.bench import devices

    large, parts = SIZES["large"], ("generation", "training")
    assert 40 * GIB < disk_bytes(parts, large, CORES) < 80 * GIB  # 7e9 and 3e9 weights in float32, the latter twice
    monkeypatch.setattr(devices.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 8 * GIB}))
    check_room(parts, SIZES["tiny"], CORES, 2, tmp_path)
    with pytest.raises(PreflightError, match=r"GiB of memory at this size, and 8\.0 are free"):
        check_room(parts, large, CORES, 2, tmp_path)
    monkeypatch.setattr(devices.shutil, "disk_usage", lambda _: type("Usage", (), {"free": GIB}))
    with pytest.raises(PreflightError, match=r"GiB of disk, and .* has 1\.0"):
        check_room(parts, large, Devices(True, 8, 8, nodes=2), 2, tmp_path)
    check_gpu(parts, large, [])
    check_gpu(parts, large, [139 * GIB])
    with pytest.raises(PreflightError, match=r"of a GPU's memory, and one has 20\.0 free"):
        check_gpu(parts, large, [139 * GIB, 20 * GIB])


def test_devices_are_gpus_or_shares_of_the_cores():
    assert CORES.counts() == (1, 2) and Devices(False, 64, 64).counts() == (1, 4) and Devices(True, 8, 96).counts() == (1, 8)
    one = CORES.used(Resources(), 1, 2)
    assert (one.cpus, one.gpus, one.generation_actors, one.training_workers) == (1, 0, 1, 1)
    four = Devices(True, 8, 96).used(Resources(max_num_seqs=512), 4, 8)
    assert (four.cpus, four.gpus, four.gpus_per_engine, four.similarity_actors, four.max_num_seqs) == (48, 4, 1, 4, 512)


@pytest.mark.parametrize("size", SIZES)
def test_the_study_of_every_size_is_one_that_can_be(size):
    assert study(SIZES[size], Resources()).resources == Resources()


def test_what_fails_after_the_first_figures_leaves_them_to_be_read(tmp_path, monkeypatch, capsys):
    from divscale.bench import command
    from divscale.bench.floors import Floor
    from divscale.bench.result import read
    from divscale.bench.setting import Measured
    from divscale.errors import StageFailedError

    def fails(_):
        raise StageFailedError("the engine ended.")

    monkeypatch.setattr(command, "measure_floors", lambda *_, **__: [Floor("core", None, (1.0,), {"float32": (1.0,)})])
    monkeypatch.setattr(command, "MEASURES", command.MEASURES | {
        "generation": lambda _: [Measured("written", "tokens/s", (10.0, 12.0), (1.0, 1.0))], "similarity": fails})
    cores = command.cores(command.devices_of(Resources()).cores)
    words = ["bench", "generation", "similarity", "--over", "1", "--json", str(tmp_path / "a.json")]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "generation  written  tokens/s" in out
    assert err.splitlines()[-1] == (f"divscale: bench: similarity on 1 x {cores}: the engine ended. Figures of the rest are as "
                                    "shown.")
    found = read(str(tmp_path / "a.json"))
    assert [figure.name for figure in found.figures] == ["written"]
    assert found.command == "divscale bench generation similarity --size tiny --scaling weak --over 1"
    assert found.failures == (f"similarity on 1 x {cores}: the engine ended.",)

    assert main(["bench", "similarity", "--over", "1"]) == 1  # with no figures there is nothing to show
    out, err = capsys.readouterr()
    assert out == "" and err == "divscale: the engine ended.\n"
