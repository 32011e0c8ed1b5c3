"""The aggregator gives the volume back, in every mode, dtype, order and store."""

import math

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from voxloom._errors import AggregatorError
from voxloom.patches import GridAggregator, GridSampler, UniformSampler
from voxloom.patches._window import WINDOWS
from voxloom.subjects import ScalarImage, Subject

MODES = sorted(WINDOWS)
WEIGHTED = ["average", "gaussian", "hann"]
DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
]  # fmt: skip


def make_sampler(shape, *sizes, padding_mode=None):
    voxels = np.zeros((1, *shape), dtype=np.float32)
    return GridSampler(Subject(t1=ScalarImage(tensor=voxels)), *sizes, padding_mode=padding_mode)


def cut_at(volume, locations):
    return torch.stack([volume[:, i:x, j:y, k:z] for i, j, k, x, y, z in locations.tolist()])


def aggregate(aggregator, volume, locations, batch_size=3):
    for start in range(0, len(locations), batch_size):
        rows = torch.as_tensor(locations[start : start + batch_size])
        aggregator.add_batch(cut_at(volume, rows), rows)
    return aggregator.get_output_tensor()


def join_one_by_one(patches, sampler, mode):
    """Join patches without padding in the plainest way: the reference."""
    shape, size = sampler.grid.spatial_shape, sampler.patch_size
    half = np.array(sampler.patch_overlap) // 2
    total, weight = np.zeros((patches.shape[1], *shape)), np.zeros(shape)
    window = math.prod(np.ix_(*(WINDOWS[mode](n) for n in size)))
    for patch, row in zip(patches.numpy(), sampler.locations, strict=True):
        ini, fin = row[:3], row[3:]
        a, b = (ini > 0) * half, np.array(size) - (fin < shape) * half
        if mode == "crop":
            i, j, k = (slice(x, y) for x, y in zip(ini + a, ini + b, strict=True))
            total[:, i, j, k] = patch[:, a[0] : b[0], a[1] : b[1], a[2] : b[2]]
            weight[i, j, k] = 1
        else:
            i, j, k = (slice(x, y) for x, y in zip(ini, fin, strict=True))
            total[:, i, j, k] += patch * window
            weight[i, j, k] += window
    return torch.from_numpy(total / weight)


@st.composite
def samplers(draw, padded=False):
    patch = draw(st.tuples(*[st.integers(1, 6)] * 3))
    overlap = tuple(2 * draw(st.integers(0, (n - 1) // 2)) for n in patch)
    shape = tuple(n + draw(st.integers(0, 7)) for n in patch)
    return make_sampler(shape, patch, overlap, padding_mode="edge" if padded else None)


@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None, max_examples=40)
@given(sampler=samplers(), seed=st.integers(0, 999))
def test_it_agrees_with_joining_one_by_one(mode, sampler, seed):
    size = (len(sampler), 2, *sampler.patch_size)
    patches = torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    aggregator = GridAggregator(sampler, mode)
    aggregator.add_batch(patches, torch.as_tensor(sampler.locations))
    expected = join_one_by_one(patches, sampler, mode)
    assert torch.allclose(aggregator.get_output_tensor(), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_the_patches_of_a_volume_give_the_volume_back(mode, padded, data):
    sampler = data.draw(samplers(padded))
    order = data.draw(st.permutations(range(len(sampler))))
    grid = sampler.grid
    padded_volume = torch.arange(math.prod(grid.padded_shape)).reshape(1, *grid.padded_shape)
    inside = tuple(slice(b, b + n) for b, n in zip(grid.border, grid.spatial_shape, strict=True))
    aggregator = GridAggregator(sampler, mode)
    output = aggregate(aggregator, padded_volume, sampler.locations[list(order)])
    expected = padded_volume[(slice(None), *inside)]
    assert output.dtype == (torch.int64 if mode == "crop" else torch.float32)
    assert torch.allclose(output, expected.to(output.dtype), rtol=1e-5, atol=0)


@pytest.mark.parametrize("padding_mode", [None, "constant", "reflect"])
@pytest.mark.parametrize("mode", MODES)
def test_a_loader_over_the_sampler_gives_the_volume_back(mode, padding_mode):
    volume = torch.rand(2, 11, 9, 7)
    subject = Subject(t1=ScalarImage(tensor=volume))
    sampler = GridSampler(subject, (6, 5, 4), (4, 2, 0), padding_mode)
    aggregator = GridAggregator(sampler, overlap_mode=mode)
    for batch in DataLoader(sampler, batch_size=4):
        aggregator.add_batch(batch["t1"]["data"], batch["location"])
    assert torch.allclose(aggregator.get_output_tensor(), volume, rtol=1e-5)


def aggregate_four(mode, dtype=torch.float32):
    sampler = make_sampler((4, 4, 1), (3, 3, 1), (2, 2, 0))
    values = torch.tensor([0, 2, 4, 6]).reshape(4, 1, 1, 1, 1)
    aggregator = GridAggregator(sampler, mode)
    aggregator.add_batch(values.expand(4, 1, 3, 3, 1).to(dtype), sampler.locations)
    return aggregator.get_output_tensor()[0, :, :, 0]


def test_crop_takes_each_voxel_from_one_patch():
    expected = [[0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6], [4, 4, 6, 6]]
    assert aggregate_four("crop").tolist() == expected


def test_average_weighs_all_patches_alike():
    expected = [[0, 1, 1, 2], [2, 3, 3, 4], [2, 3, 3, 4], [4, 5, 5, 6]]
    assert aggregate_four("average").tolist() == expected
    assert aggregate_four("average", torch.uint8).tolist() == expected


def test_hann_weighs_the_middle_of_a_patch_more():
    row = torch.tensor([0, 2 / 3, 4 / 3, 2])
    assert torch.allclose(aggregate_four("hann"), row + 2 * row[:, None])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_every_dtype_gives_the_right_answer(mode, dtype):
    volume = torch.arange(7 * 6 * 5).reshape(1, 7, 6, 5).remainder(100).to(dtype)
    sampler = make_sampler((7, 6, 5), (4, 4, 3), 2)
    output = aggregate(GridAggregator(sampler, mode), volume, sampler.locations)
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    assert output.dtype == (dtype if mode == "crop" else sums)
    assert torch.allclose(output.to(torch.float64), volume.to(torch.float64), rtol=1e-5)


@pytest.mark.parametrize("mode", WEIGHTED)
def test_averaging_large_uint8_values_does_not_overflow(mode):
    volume = torch.full((1, 8, 8, 8), 255, dtype=torch.uint8)
    sampler = make_sampler((8, 8, 8), 4, 2)
    output = aggregate(GridAggregator(sampler, mode), volume, sampler.locations)
    assert torch.allclose(output, torch.tensor(255.0))


@pytest.mark.parametrize("mode", MODES)
def test_complex_numbers_stay_whole(mode):
    volume = torch.rand(1, 8, 8, 8, dtype=torch.complex64)
    sampler = make_sampler((8, 8, 8), 4, 2)
    output = aggregate(GridAggregator(sampler, mode), volume, sampler.locations)
    assert torch.allclose(output, volume)


@pytest.mark.parametrize("mode", MODES)
def test_a_voxel_that_is_not_a_number_spoils_itself_only(mode):
    volume = torch.rand(1, 9, 8, 7)
    volume[0, 4, 4, 3] = torch.nan
    sampler = make_sampler((9, 8, 7), 5, 2)
    output = aggregate(GridAggregator(sampler, mode), volume, sampler.locations)
    assert torch.allclose(output, volume, equal_nan=True)


@pytest.mark.parametrize("mode", WEIGHTED)
def test_patches_that_overlap_more_often_than_a_byte_counts_are_weighed_right(mode):
    sampler = make_sampler((32, 32, 32), 16, 14)
    first, last = sampler.locations[:, :3], sampler.locations[:, 3:]
    assert ((first <= 15) & (last > 15)).all(axis=1).sum() == 512
    ones = torch.ones(1, 32, 32, 32)
    output = aggregate(GridAggregator(sampler, mode), ones, sampler.locations, batch_size=100)
    assert torch.allclose(output, ones)


@pytest.mark.parametrize("mode", MODES)
def test_batches_with_gradients_and_of_one_patch_are_taken(mode):
    volume = torch.rand(3, 8, 8, 8, requires_grad=True)
    sampler = make_sampler((8, 8, 8), 6, 4)
    output = aggregate(GridAggregator(sampler, mode), volume, sampler.locations, batch_size=1)
    assert not output.requires_grad
    assert torch.allclose(output, volume.detach())


@pytest.mark.parametrize("mode", MODES)
def test_batches_may_be_arrays(mode):
    volume = torch.rand(2, 9, 8, 7)
    sampler = make_sampler((9, 8, 7), 5, 2)
    aggregator = GridAggregator(sampler, mode)
    for location in sampler.locations:
        i, j, k, *fin = location
        patch = volume.numpy()[None, :, i : fin[0], j : fin[1], k : fin[2]]
        aggregator.add_batch(patch, location[None])
    assert torch.allclose(aggregator.get_output_tensor(), volume)


@pytest.mark.parametrize("mode", MODES)
def test_places_that_were_added_again_count_once(mode):
    volume = torch.rand(1, 9, 8, 7)
    sampler = make_sampler((9, 8, 7), 5, 2)
    some = sampler.locations[[0, 3, 3]]
    rows = np.concatenate([sampler.locations, some])
    output = aggregate(GridAggregator(sampler, mode), volume, rows)
    assert torch.allclose(output, volume)


@pytest.mark.parametrize("padding_mode", [None, "constant"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [2, 4])
def test_a_network_that_downsamples_gives_a_smaller_volume(mode, padding_mode, factor):
    sampler = make_sampler((30, 17, 16), (12, 8, 16), (4, 4, 0), padding_mode=padding_mode)
    small = torch.Size((30 // factor, 17 // factor, 16 // factor))
    patch = tuple(n // factor for n in sampler.patch_size)
    aggregator = GridAggregator(sampler, mode, downsampling_factor=factor)
    ones = torch.ones(len(sampler), 2, *patch)
    aggregator.add_batch(ones, sampler.locations)
    output = aggregator.get_output_tensor()
    assert output.shape == (2, *small)
    assert torch.allclose(output, torch.tensor(1.0))


def test_downsampled_patches_lie_at_the_places_divided_by_the_factor():
    volume = torch.rand(1, 8, 6, 6)
    sampler = make_sampler((16, 12, 12), 8, 4)
    aggregator = GridAggregator(sampler, "hann", 2)
    aggregator.add_batch(cut_at(volume, sampler.locations // 2), sampler.locations)
    assert torch.allclose(aggregator.get_output_tensor(), volume)


def make_out(kind, shape, dtype, folder):
    if kind == "array":
        return np.full(shape, 9, dtype=dtype)
    if kind == "big endian":
        return np.full(shape, 9, np.dtype(dtype).newbyteorder(">"))
    if kind == "memmap":
        return np.memmap(folder / "out", dtype=dtype, mode="w+", shape=shape)
    return zarr.create_array(
        folder / "out.zarr", shape=shape, chunks=(1, 4, 5, 3), dtype=dtype, fill_value=9
    )


@pytest.mark.parametrize("padding_mode", [None, "edge"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["array", "big endian", "memmap", "zarr"])
def test_the_volume_is_built_in_out(kind, mode, padding_mode, tmp_path):
    volume = torch.rand(2, 10, 9, 8)
    sampler = GridSampler(
        Subject(t1=ScalarImage(tensor=volume)), (6, 5, 4), (2, 2, 0), padding_mode
    )
    out = make_out(kind, (2, 10, 9, 8), "float32", tmp_path)
    aggregator = GridAggregator(sampler, mode, out=out)
    for batch in DataLoader(sampler, batch_size=4):
        aggregator.add_batch(batch["t1"]["data"], batch["location"])
    aggregator.finish()
    assert np.allclose(np.asarray(out[:]), volume, rtol=1e-5)
    assert torch.allclose(aggregator.get_output_tensor(), volume, rtol=1e-5)


def test_labels_may_be_stored_in_a_smaller_integer(tmp_path):
    volume = torch.randint(0, 200, (1, 8, 8, 8))
    sampler = make_sampler((8, 8, 8), 6, 4)
    out = make_out("zarr", (1, 8, 8, 8), "uint8", tmp_path)
    output = aggregate(GridAggregator(sampler, out=out), volume, sampler.locations)
    assert output.dtype == torch.uint8
    assert torch.equal(output.long(), volume)


@pytest.mark.parametrize("mode", MODES)
def test_voxels_that_no_patch_covers_raise_and_are_counted(mode):
    sampler = make_sampler((8, 8, 4), 4)
    aggregator = GridAggregator(sampler, mode)
    aggregator.add_batch(torch.ones(3, 1, 4, 4, 4), sampler.locations[:3])
    message = r"1 of 4 places.*\(4, 4, 0, 8, 8, 4\).*64 of 256 voxels.*fill=0"
    with pytest.raises(AggregatorError, match=message):
        aggregator.get_output_tensor()
    aggregator.add_batch(torch.ones(1, 1, 4, 4, 4), sampler.locations[3:])
    assert torch.equal(aggregator.get_output_tensor(), torch.ones(1, 8, 8, 4))


@pytest.mark.parametrize("mode", MODES)
def test_fill_is_what_uncovered_voxels_get(mode):
    sampler = make_sampler((8, 8, 4), 4)
    aggregator = GridAggregator(sampler, mode, fill=-1)
    aggregator.add_batch(torch.ones(3, 1, 4, 4, 4), sampler.locations[:3])
    expected = torch.ones(1, 8, 8, 4)
    expected[:, 4:, 4:] = -1
    assert torch.equal(aggregator.get_output_tensor(), expected)


@pytest.mark.parametrize("mode", WEIGHTED)
def test_a_missing_place_that_others_cover_is_no_error(mode):
    volume = torch.rand(1, 10, 4, 4)
    sampler = make_sampler((10, 4, 4), 4, (2, 0, 0))
    assert len(sampler) == 4
    output = aggregate(GridAggregator(sampler, mode), volume, sampler.locations[[0, 1, 3]])
    assert torch.allclose(output, volume)


@pytest.mark.parametrize("mode", MODES)
def test_asking_twice_gives_the_same_volume(mode):
    volume = torch.rand(1, 8, 8, 8)
    sampler = make_sampler((8, 8, 8), 4, 2)
    aggregator = GridAggregator(sampler, mode)
    once = aggregate(aggregator, volume, sampler.locations).clone()
    assert torch.equal(aggregator.get_output_tensor(), once)


def test_no_patch_is_taken_after_the_division_by_weights():
    sampler = make_sampler((8, 8, 8), 8)
    aggregator = GridAggregator(sampler, "hann")
    aggregate(aggregator, torch.rand(1, 8, 8, 8), sampler.locations)
    with pytest.raises(AggregatorError, match="takes no more patches"):
        aggregator.add_batch(torch.rand(1, 1, 8, 8, 8), sampler.locations)


def test_a_volume_before_any_batch_raises():
    with pytest.raises(RuntimeError, match="no batch was added"):
        GridAggregator(make_sampler((8, 8, 8), 4)).get_output_tensor()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 1, 4, 4, 3), r"\(2, 1, 4, 4, 4\), got \(2, 1, 4, 4, 3\)"),
        ((3, 1, 4, 4, 4), r"\(2, 1, 4, 4, 4\), got \(3, 1, 4, 4, 4\)"),
        ((1, 4, 4, 4), r"\(2, C, 4, 4, 4\), got \(1, 4, 4, 4\)"),
    ],
)
def test_a_batch_of_the_wrong_shape_raises_with_both_shapes(shape, expected):
    sampler = make_sampler((8, 8, 8), 4)
    with pytest.raises(RuntimeError, match=expected):
        GridAggregator(sampler).add_batch(torch.zeros(shape), sampler.locations[:2])


def test_batches_have_the_channels_and_dtype_of_the_first():
    sampler = make_sampler((8, 8, 8), 4)
    aggregator = GridAggregator(sampler)
    aggregator.add_batch(torch.zeros(2, 3, 4, 4, 4), sampler.locations[:2])
    with pytest.raises(RuntimeError, match=r"\(2, 3, 4, 4, 4\), got \(2, 1, 4, 4, 4\)"):
        aggregator.add_batch(torch.zeros(2, 1, 4, 4, 4), sampler.locations[:2])
    with pytest.raises(RuntimeError, match=r"dtype torch.float32, this one has torch.float16"):
        aggregator.add_batch(torch.zeros(2, 3, 4, 4, 4).half(), sampler.locations[:2])


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ([6, 0, 0, 10, 4, 4], r"does not lie inside the volume, .*\(8, 8, 8\)"),
        ([-1, 0, 0, 3, 4, 4], r"does not lie inside the volume, .*\(8, 8, 8\)"),
        ([1, 0, 0, 5, 4, 4], "no place of the grid.*patch_size="),
        ([0, 0, 0, 8, 4, 4], "no place of the grid.*patch_size="),
    ],
)
def test_a_location_of_another_grid_raises_and_nothing_is_added(location, message):
    sampler = make_sampler((8, 8, 8), 4)
    aggregator = GridAggregator(sampler)
    rows = torch.tensor([sampler.locations[0].tolist(), location])
    with pytest.raises(RuntimeError, match=message):
        aggregator.add_batch(torch.zeros(2, 1, 4, 4, 4), rows)
    with pytest.raises(RuntimeError, match="no batch was added"):
        aggregator.get_output_tensor()


def test_locations_are_rows_of_six():
    with pytest.raises(RuntimeError, match=r"shape \(B, 6\).*got \(2, 3\)"):
        GridAggregator(make_sampler((8, 8, 8), 4)).add_batch(
            torch.zeros(2, 1, 4, 4, 4), torch.zeros(2, 3, dtype=torch.int64)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap_mode": "mean"}, "overlap_mode is one of"),
        ({"downsampling_factor": 3}, "divides patch_size"),
        ({"downsampling_factor": 0}, "divides patch_size"),
        ({"downsampling_factor": 2.0}, "divides patch_size"),
        ({"out": np.zeros((1, 8, 8, 7))}, r"\(C, 8, 8, 8\), got \(1, 8, 8, 7\)"),
        ({"out": np.broadcast_to(np.float32(0), (1, 8, 8, 8))}, "read-only"),
        ({"out": torch.zeros((1, 8, 8, 8), device="meta")}, "on meta"),
        ({"out": np.zeros((8, 8, 8))}, r"\(C, 8, 8, 8\), got \(8, 8, 8\)"),
        ({"out": np.zeros((1, 8, 8, 8), np.uint8), "overlap_mode": "hann"}, "float32 or float64"),
    ],
)
def test_options_that_cannot_be_used_raise(options, message):
    with pytest.raises(ValueError, match=message):
        GridAggregator(make_sampler((8, 8, 8), 4), **options)


def test_an_out_that_cannot_hold_the_batch_raises():
    sampler = make_sampler((8, 8, 8), 8)
    out = np.zeros((1, 8, 8, 8), dtype=np.uint8)
    with pytest.raises(RuntimeError, match=r"torch\.uint8, which cannot hold torch\.float32"):
        GridAggregator(sampler, out=out).add_batch(torch.zeros(1, 1, 8, 8, 8), sampler.locations)
    with pytest.raises(RuntimeError, match=r"out has 1 channels, .* has 2"):
        GridAggregator(sampler, out=out).add_batch(
            torch.zeros(1, 2, 8, 8, 8, dtype=torch.uint8), sampler.locations
        )


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint16, torch.uint32, torch.uint64])
def test_integers_of_every_dtype_are_stored_in_another(dtype):
    sampler = make_sampler((8, 8, 8), 8)
    out = np.zeros((1, 8, 8, 8), dtype=np.int16)
    GridAggregator(sampler, out=out).add_batch(
        torch.ones(1, 1, 8, 8, 8, dtype=torch.uint8).to(dtype), sampler.locations
    )
    assert (out == 1).all()


@pytest.mark.parametrize("label", [256, -1])
def test_labels_that_a_smaller_integer_cannot_hold_raise_and_nothing_is_written(label):
    sampler = make_sampler((8, 8, 8), 8)
    out = np.zeros((1, 8, 8, 8), dtype=np.uint8)
    batch = torch.zeros(1, 1, 8, 8, 8, dtype=torch.int64)
    batch[0, 0, 0, 0, 0], batch[0, 0, 7, 7, 7] = 3, label
    with pytest.raises(RuntimeError, match=rf"holds 0 to 255; the batch of .* {label}"):
        GridAggregator(sampler, out=out).add_batch(batch, sampler.locations)
    assert not out.any()


def test_only_a_grid_can_be_aggregated():
    with pytest.raises(ValueError, match="patches of a GridSampler, got UniformSampler"):
        GridAggregator(UniformSampler(4))


def test_a_sampler_without_a_subject_cannot_be_aggregated():
    with pytest.raises(ValueError, match="no subject"):
        GridAggregator(GridSampler(patch_size=4))
