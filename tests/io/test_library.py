import pytest

from voxloom._errors import VolumeReadError
from voxloom.io._library import decoding


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("t1.h5", "copy the file again, convert it, or pass reader="),
        ("s3://bucket/t1.zarr", "check the address, the network, and the credentials; what fails"),
    ],
)
def test_what_can_be_done_depends_on_where_a_volume_lies(path: str, remedy: str) -> None:
    with (
        pytest.raises(VolumeReadError, match=f"{path}: it cannot read it, OSError: gone; {remedy}"),
        decoding(path, "it"),
    ):
        raise OSError("gone\n\nDebug source:\nGeneric { store: HTTP }")
