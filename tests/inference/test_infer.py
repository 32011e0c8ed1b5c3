"""Running a network over volumes: the same as MONAI, whatever is read and written."""

import threading
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
import zarr
from monai.inferers import sliding_window_inference

import voxloom
from voxloom import LabelMap, ScalarImage, Subject, infer
from voxloom._errors import InferenceError, UnknownImageError

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])


@pytest.fixture
def network() -> torch.nn.Module:
    """Return a small network whose borders see zeros, so that patches differ where they meet."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(4, 2, 3, padding=1)
    ).eval()


@pytest.fixture
def image() -> ScalarImage:
    voxels = np.random.default_rng(0).random((1, 21, 18, 15), dtype=np.float32)
    return ScalarImage(tensor=voxels, affine=AFFINE)


def by_monai(image: Any, network: Any, size: Any, overlap: float, **arguments: Any) -> Any:
    with torch.no_grad():
        return sliding_window_inference(
            image.data[None].float(), size, 2, network, overlap, **arguments
        )


@pytest.mark.parametrize(("mode", "theirs"), [("gaussian", "gaussian"), ("average", "constant")])
@pytest.mark.parametrize(
    ("size", "overlap"), [(8, 0.25), ((12, 7, 9), 0.5), ((8, 24, 20), 0.6), (32, 0.5), (8, 0.0)]
)
def test_the_result_is_that_of_monai(
    network: torch.nn.Module, image: ScalarImage, mode: Any, theirs: str, size: Any, overlap: float
) -> None:
    expected = by_monai(image, network, size, overlap, mode=theirs)[0]
    result = infer(network, image, size, overlap, mode=mode, batch_size=3)
    assert result.shape == (2, 21, 18, 15)
    assert torch.allclose(result.data, expected, atol=1e-5)
    assert np.array_equal(result.affine, AFFINE)


@pytest.mark.parametrize("mode", ["gaussian", "average", "hann"])
def test_a_voxel_that_is_not_a_number_spoils_itself_only(image: ScalarImage, mode: Any) -> None:
    voxels = image.array.copy()
    voxels[0, 9, 8, 7] = np.nan
    result = infer(lambda batch: batch, image.with_data(voxels), 8, 0.5, mode=mode)
    assert np.allclose(result.array, voxels, equal_nan=True)


def test_on_a_real_brain_the_result_is_that_of_monai(network: torch.nn.Module) -> None:
    t1 = voxloom.datasets.MNI152().t1[30:170, 30:200, 40:140]
    scaled = t1.with_data(t1.data.float() / 255)
    expected = by_monai(scaled, network, 64, 0.25, mode="gaussian")[0]
    result = infer(network, Subject(t1=scaled), 64, 0.25, batch_size=2)
    assert torch.allclose(result.data, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz", "out.zarr", "OUT \u00e9.NII"])
def test_files_hold_what_memory_would(
    network: torch.nn.Module, image: ScalarImage, tmp_path: Path, name: str
) -> None:
    expected = infer(network, image, 8)
    written = infer(network, image, 8, out=tmp_path / name)
    assert np.allclose(written.read(), expected.array, atol=1e-5)
    assert np.allclose(written.affine, AFFINE)
    assert not written.is_loaded
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if ".nii" in name.lower():
        stored = np.asarray(nibabel.load(tmp_path / name).dataobj)  # type: ignore[attr-defined]
        assert np.allclose(np.moveaxis(stored, -1, 0), expected.array, atol=1e-5)


def test_an_array_of_the_caller_is_filled(network: torch.nn.Module, image: ScalarImage) -> None:
    expected = infer(network, image, 8)
    memory = np.zeros((2, 21, 18, 15), dtype=np.float32)
    store = zarr.create_array({}, shape=memory.shape, dtype="float32", chunks=(1, 8, 8, 8))
    for out in (memory, store):
        infer(network, image, 8, out=out)
        assert np.allclose(np.asarray(out), expected.array, atol=1e-5)


def test_large_compressed_volumes_stay_undecoded_in_the_subject_of_the_caller(
    network: torch.nn.Module, image: ScalarImage, tmp_path: Path
) -> None:
    image.save(tmp_path / "t1.nii.gz")
    subject = Subject(t1=ScalarImage(tmp_path / "t1.nii.gz"))
    result = infer(network, subject, 8)
    assert not subject.t1.is_loaded
    assert np.allclose(result.array, infer(network, image, 8).array, atol=1e-5)


def test_channels_of_several_images_come_in_the_order_asked_for() -> None:
    t1, t2 = (ScalarImage(tensor=np.full((1, 6, 6, 6), value)) for value in (1.0, 2.0))
    labels = LabelMap(tensor=np.full((1, 6, 6, 6), 3.0))
    subject = Subject(t1=t1, t2=t2, seg=labels)

    def means(**arguments: Any) -> list[float]:
        result = infer(lambda batch: batch, subject, 4, **arguments)
        return [float(channel.mean()) for channel in result.data]

    assert means() == [1, 2]
    assert means(images=["t2", "t1"]) == [2, 1]
    assert means(images="seg") == [3]
    with pytest.raises(UnknownImageError, match=r"no image 'ct'"):
        means(images="ct")


@pytest.mark.parametrize("kind", ["tuple", "mapping"])
def test_several_outputs_come_back_as_they_were(
    image: ScalarImage, kind: str, tmp_path: Path
) -> None:
    def model(batch: torch.Tensor) -> Any:
        outputs = {"same": batch, "twice": 2 * batch.repeat(1, 2, 1, 1, 1)}
        return outputs if kind == "mapping" else tuple(outputs.values())

    outs = {"twice": tmp_path / "b.zarr", "same": tmp_path / "a.nii"}
    out: Any = outs if kind == "mapping" else (outs["same"], outs["twice"])
    result = infer(model, image, 8, out=out)
    same, twice = result.values() if kind == "mapping" else result
    assert isinstance(result, dict if kind == "mapping" else tuple)
    assert same["path"].endswith("a.nii")
    assert torch.allclose(same.data, image.data, atol=1e-6)
    assert torch.allclose(twice.data, 2 * image.data.repeat(2, 1, 1, 1), atol=1e-6)


def test_smaller_outputs_lie_where_their_voxels_were(image: ScalarImage, tmp_path: Path) -> None:
    def pool(batch: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool3d(batch, (4, 4, 2))

    result = infer(pool, image, 8, 0.5, stride=4, out=tmp_path / "small.nii")
    inside = result.data[:, :5, :4, :7]
    assert result.shape == (1, 6, 5, 8)
    assert torch.allclose(inside, pool(image.data[None])[0][:, :5, :4, :7], atol=1e-6)
    middle_of_first = AFFINE @ [1.5, 1.5, 0.5, 1]
    assert np.allclose(result.affine[:3, 3], middle_of_first[:3])
    assert np.allclose(result.spacing, (6.0, 8.0, 6.0))


def test_smaller_outputs_are_those_of_monai_where_monai_can(network: torch.nn.Module) -> None:
    torch.manual_seed(1)
    model = torch.nn.Sequential(network, torch.nn.MaxPool3d(2))
    image = ScalarImage(tensor=torch.rand(1, 24, 16, 20))
    expected = by_monai(image, model, 8, 0.5, mode="gaussian")[0]
    assert torch.allclose(infer(model, image, 8, 0.5, stride=2).data, expected, atol=1e-5)


def test_flips_give_the_mean_over_all_of_them(network: torch.nn.Module, image: ScalarImage) -> None:
    sides = [(), (2,), (4,), (2, 4)]

    def turned(batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([network(batch.flip(axes)).flip(axes) for axes in sides]).mean(0)

    assert torch.allclose(
        infer(network, image, 8, flips=(0, 2)).data, infer(turned, image, 8).data, atol=1e-6
    )


@pytest.mark.parametrize(("padding", "edge"), [("constant", 0.0), ("edge", 1.0), (7, 7.0)])
def test_a_border_is_padded_and_cropped_off(padding: Any, edge: float) -> None:
    image = ScalarImage(tensor=torch.ones(1, 9, 8, 7))
    seen: set[float] = set()

    def model(batch: torch.Tensor) -> torch.Tensor:
        seen.update(batch.unique().tolist())
        return batch

    result = infer(model, image, 4, border=(3, 0, 2), padding_mode=padding)
    assert torch.allclose(result.data, image.data)
    assert seen == {1.0, edge}


@pytest.mark.parametrize(("size", "warns"), [(12, False), (13, True), ((64, 6, 6), True)])
def test_a_patch_of_little_but_padding_is_warned_of(size: Any, warns: bool) -> None:
    image = ScalarImage(tensor=torch.rand(1, 6, 6, 6))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = infer(lambda batch: batch, image, size)
    assert torch.allclose(result.data, image.data, atol=1e-6)
    assert len(caught) == warns
    for one in caught:
        whole = size if isinstance(size, tuple) else (size,) * 3
        assert str(one.message).startswith(
            f"a patch of {whole} holds more than 8 times the voxels of the volume, (6, 6, 6)"
        )
        assert one.filename == __file__


def test_labels_are_written_when_a_function_makes_them(
    network: torch.nn.Module, image: ScalarImage, tmp_path: Path
) -> None:
    expected = infer(network, image, 8).data.argmax(0, keepdim=True)
    result = infer(
        network,
        image,
        8,
        out=tmp_path / "labels.nii",
        voxelwise=lambda part: part.argmax(0, keepdim=True).to(torch.uint8),
    )
    assert result.dtype == np.uint8
    assert np.array_equal(result.array, expected.numpy())


def test_a_module_is_evaluated_without_gradients_and_left_as_it_was(image: ScalarImage) -> None:
    model = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.Dropout(0.9))
    model[1].eval()
    modes: list[tuple[bool, bool]] = []
    model.register_forward_hook(
        lambda module, _, output: modes.append((module.training, output.requires_grad))
    )
    infer(model, image, 16)
    assert set(modes) == {(False, False)}
    assert (model.training, model[0].training, model[1].training) == (True, True, False)


@pytest.mark.parametrize("name", ["a.nii", "a.zarr"])
def test_after_an_error_no_thread_and_no_half_file_are_left(
    image: ScalarImage, tmp_path: Path, name: str
) -> None:
    calls: list[int] = []

    def model(batch: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 30:
            raise RuntimeError("the network broke")
        return batch

    with pytest.raises(RuntimeError, match="the network broke"):
        infer(model, image, 4, out=tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name == "voxloom-read-ahead"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"batch_size is a positive integer, got 0"),
        ({"batch_size": True}, r"batch_size is a positive integer, got True"),
        ({"out": "x.png"}, r"what is written to a file is \.zarr, \.nii or \.nii\.gz.*'x\.png'"),
        ({"out": 3}, r"out is a path, an array .* got int"),
        ({"out": np.zeros((1, 2, 2, 2))}, r"out has shape \(C, 21, 18, 15\), got \(1, 2, 2, 2\)"),
        ({"out": np.zeros((3, 21, 18, 15))}, r"out has 3 channels, the network returns 1"),
        ({"out": ("a.nii", "b.nii")}, r"out has the form of what the network returns, one tensor"),
        ({"flips": (0, 3)}, r"flips are axes among 0, 1, 2, each once"),
        ({"voxelwise": lambda part: part[0]}, r"voxelwise should return \(C, "),
        ({"subject": 3}, r"expected a subject or an image, got int"),
        ({"model": lambda batch: batch[:, 0]}, r"should return a tensor .* got Tensor of shape"),
        ({"model": lambda batch: "x"}, r"got str"),
        ({"model": lambda batch: batch[:1]}, r"for a batch of 2 patches the network returned 1"),
        ({"model": lambda batch: batch[..., :3]}, r"whose sizes divide those of the patch"),
    ],
)
def test_what_cannot_be_used_is_refused(
    image: ScalarImage, arguments: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"model": lambda batch: batch, "subject": image, "batch_size": 2}
    with pytest.raises(InferenceError, match=message):
        infer(**{**given, **arguments}, patch_size=8)


@pytest.mark.parametrize("mode", ["gaussian", "hann", "average"])
@pytest.mark.parametrize("kind", ["array", "tensor", "zarr"])
def test_means_of_whole_numbers_are_whole_in_an_array_of_integers(
    image: ScalarImage, mode: Any, kind: str
) -> None:
    out: Any = np.zeros(image.shape, np.uint8)
    if kind == "tensor":
        out = torch.from_numpy(out)
    elif kind == "zarr":
        out = zarr.array(out)
    infer(lambda x: torch.full_like(x, 3), image, 8, mode=mode, out=out)
    assert (np.asarray(out[:]) == 3).all()


@pytest.mark.parametrize("value", [300, -1, float("nan"), float("inf")])
def test_what_an_array_of_integers_cannot_hold_is_refused(image: ScalarImage, value: float) -> None:
    out = np.zeros(image.shape, np.uint8)
    with pytest.raises(InferenceError, match=f"uint8, which holds 0 to 255; .* {value:g} to"):
        infer(lambda x: torch.full_like(x, value), image, 8, out=out)


def test_a_network_may_change_its_input_and_give_the_same_memory_again(image: ScalarImage) -> None:
    memory: dict[Any, torch.Tensor] = {}

    def pure(batch: torch.Tensor) -> torch.Tensor:
        return torch.relu(batch * 2 - 1).cumsum(-1)

    def careless(batch: torch.Tensor) -> torch.Tensor:
        kept = memory.setdefault(batch.shape, torch.empty_like(batch))
        return kept.copy_(batch.mul_(2).sub_(1).relu_().cumsum(-1))

    one, other = (infer(model, image, 8, flips=True) for model in (pure, careless))
    assert torch.equal(one.data, other.data)


def test_a_batch_size_may_be_an_integer_of_numpy() -> None:
    image = ScalarImage(tensor=torch.rand(1, 8, 8, 8))
    result = infer(lambda batch: batch, image, 4, batch_size=np.int64(3))
    assert torch.allclose(result.data, image.data)
