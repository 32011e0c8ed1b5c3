import multiprocessing
import threading

from voxloom.prepared._workers import _serve


def test_a_worker_whose_last_answer_nobody_takes_ends_without_an_error() -> None:
    ours, theirs = multiprocessing.Pipe()
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            _serve(theirs, str)
        except BaseException as error:
            failed.append(error)

    worker = threading.Thread(target=serve)
    worker.start()
    ours.send(7)
    assert ours.poll(10)
    ours.close()  # what lies in it unread makes a reset of the end
    worker.join(10)
    theirs.close()
    assert failed == []
    assert not worker.is_alive()
