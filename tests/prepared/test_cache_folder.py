"""What is noted in the folder of a cache is whole, however many note it at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voxloom.prepared._cache_folder import CacheFolder


def test_threads_that_note_one_stamp_never_show_half_a_key(tmp_path: Path) -> None:
    folder, key, done = CacheFolder(tmp_path, None), "k" * 40, threading.Event()
    folder.prepare()
    seen = set()

    def look() -> None:
        while not done.is_set():
            seen.add(folder.key_of("stamp"))

    looking = threading.Thread(target=look)
    looking.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: folder.note("stamp", key), range(1000)))
    done.set()
    looking.join()
    assert seen <= {None, key}
    assert folder.key_of("stamp") == key
