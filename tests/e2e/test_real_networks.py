"""Trained networks on real pictures: their figures by each way in, and a head of new classes that is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamtag.client import Client
from streamtag.networks.groups import imagenet_classes

from tests.support import RedisServer, Worker, json_lines, run_cli, settings_for
from tests.support.bundles import WEIGHT_FILES

LEAST = {"mobilenetv2": (0.85, 0.97), "squeezenet": (0.57, 0.80)}


@pytest.mark.long
@pytest.mark.parametrize("name", ["mobilenetv2", "squeezenet"])
def test_real_weights_reach_their_figures_by_every_way_in(
    name: str, redis_server: RedisServer, shared_data: Path, tmp_path: Path
) -> None:
    """``classify``, ``evaluate`` and the worker see the same pictures with the same labels."""
    settings = settings_for(redis_server, model__name=name)
    env = {"STREAMTAG_MODEL__NAME": name, "STREAMTAG_MODEL__WEIGHTS": str(shared_data / "weights" / WEIGHT_FILES[name])}
    folder = shared_data / "images" / "imagenet_sample"
    wnids = [wnid for wnid, _ in imagenet_classes()]
    rows = json_lines(run_cli(settings, "classify", str(folder), "--json", env=env).stdout)
    classified = [[label["class_id"] for label in row["labels"]] for row in rows]
    truth = [wnids.index(Path(row["path"]).name.split("_")[0]) for row in rows]
    top1 = np.mean([ids[0] == true for ids, true in zip(classified, truth, strict=True)])
    top5 = np.mean([true in ids for ids, true in zip(classified, truth, strict=True)])
    assert len(rows) == 100
    assert top1 >= LEAST[name][0]
    assert top5 >= LEAST[name][1]

    ran = run_cli(settings, "evaluate", name, str(folder), "--json", env=env)
    content = json_lines(ran.stdout)[0]
    assert (content["accuracy"], content["top5"]) == (pytest.approx(top1), pytest.approx(top5))

    worker = Worker(settings, env=env).ready()
    try:
        with Client(settings=settings) as client:
            job = client.submit(str(folder) + "/").job_id
            assert client.wait(job, 120).status == "done"
            results = list(client.results(job))
    finally:
        worker.kill()
    assert [result.labels[0].class_id for result in results] == [ids[0] for ids in classified]


BIRDS = (
    "brambling", "water_ouzel", "black_grouse", "lorikeet", "black_swan", "flamingo", "red-backed_sandpiper",
)  # fmt: skip


@pytest.fixture(scope="module")
def animals(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All eleven dogs of the sample against its seven birds: one photo of each, so no breed is on both sides."""
    folder = tmp_path_factory.mktemp("animals")
    numbers = {wnid: number for number, (wnid, _) in enumerate(imagenet_classes())}
    for path in sorted((shared_data / "images" / "imagenet_sample").iterdir()):
        wnid, name = path.stem.split("_", 1)
        label = "dog breeds" if 151 <= numbers[wnid] <= 268 else "other animals" if name in BIRDS else None
        if label:
            (folder / label).mkdir(exist_ok=True)
            (folder / label / path.name).symlink_to(path)
    return folder


@pytest.mark.long
@pytest.mark.timeout(900)  # it took 269 s where processors have no AVX-512
def test_a_head_tells_dogs_from_other_animals_and_is_served(
    animals: Path, shared_data: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = settings_for(redis_server)
    right = total = 0
    weights = str(shared_data / "weights" / WEIGHT_FILES["mobilenetv2"])
    for seed in ("1", "2", "3", "4"):
        command = ["train", str(animals), "--backbone", "mobilenetv2", "--weights", weights, "--crops", "10"]
        command += ["--held-out", "0.17", "--seed", seed, "--out", str(tmp_path / seed), "--json"]
        ran = run_cli(settings, *command, "--set", f"model.cache={tmp_path / 'cache' / 'models'}")
        assert ran.returncode == 0, ran.stderr
        (content,) = json_lines(ran.stdout)
        right += round(content["held_out_accuracy"] * content["held_out_samples"])
        total += content["held_out_samples"]
    assert total >= 12
    assert right / total >= 0.95

    bundle = str(tmp_path / "1")
    settings = settings_for(redis_server, model__name=bundle)
    worker = Worker(settings, env={"STREAMTAG_MODEL__NAME": bundle}).ready()
    try:
        with Client(settings=settings) as client:
            job = client.submit(str(shared_data / "videos" / "imageio_cockatoo.mp4")).job_id
            assert client.wait(job, 120).status == "done"
            results = list(client.results(job))
    finally:
        worker.kill()
    assert results
    assert all({label.name for label in result.labels} == {"dog breeds", "other animals"} for result in results)
    assert any(result.active for result in results)
