import subprocess
import sys
import warnings

import pytest

from voxloom._errors import MissingExtraError, QueueError
from voxloom.cli import ExitCode, _app, main

COMMANDS = ("demo", "check", "preview", "bench", "prepare", "infer", "view", "queue-page", "info")


def test_it_says_its_version(voxloom):
    said = voxloom("--version")
    assert (said.code, said.out.split()[0]) == (0, "voxloom")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_commands_and_exit_codes(voxloom, arguments):
    said = voxloom(*arguments)
    assert said.code == ExitCode.OK
    for word in (*COMMANDS, "130", "141"):
        assert word in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(voxloom, command):
    said = voxloom(command, "--help")
    assert said.code == ExitCode.OK
    _, examples = said.out.split("Examples:")
    assert f"voxloom {command}" in examples
    assert "--json" in said.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "No such command 'nope'"),
        (["check", "--nope"], "No such option: --nope"),
        (["bench", "--seconds", "x"], "Invalid value for '--seconds'"),
        (["check"], "one of DATA, --msd, --nnunet, --csv, --glob is expected, got none"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_code_2(voxloom, arguments, sentence):
    said = voxloom(*arguments)
    assert said.code == ExitCode.USAGE
    assert sentence in said.err
    assert said.err.startswith("voxloom: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_sentence_without_the_line_that_gave_it(monkeypatch, capsys):
    def app(*arguments, **options):
        warnings.warn("a patch is larger\nthan the volume", UserWarning, stacklevel=2)
        return ExitCode.OK

    monkeypatch.setattr(_app, "app", app)
    assert main(["check"]) == ExitCode.OK
    assert capsys.readouterr().err == "voxloom: a patch is larger than the volume\n"


def wrapped(error: BaseException) -> Exception:
    outer = RuntimeError("Error calling __set_name__")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (QueueError("it\ncannot"), ExitCode.FAILED, "it cannot"),
        (MemoryError(), ExitCode.FAILED, "MemoryError"),
        (FileNotFoundError(2, "No such file", "a.nii"), ExitCode.FAILED, "a.nii: No such file"),
        (MissingExtraError("run: pip"), ExitCode.MISSING, "run: pip"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "stopped"),
        (wrapped(KeyboardInterrupt()), ExitCode.INTERRUPTED, "stopped"),
        (ZeroDivisionError("oh"), ExitCode.UNEXPECTED, "unexpected ZeroDivisionError: oh"),
    ],
)
def test_each_kind_of_error_has_its_exit_code(voxloom, monkeypatch, error, code, sentence):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(_app, "app", fail)
    said = voxloom("info")
    assert said.code == code
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "check", "no"], ["check", "no", "--debug"]])
def test_debug_lets_the_error_through_wherever_it_stands(arguments):
    pytest.importorskip("typer")
    with pytest.raises(FileNotFoundError, match="there is no folder 'no'"):
        main(arguments)


def test_a_stream_that_knows_only_ascii_gets_names_escaped(phantoms, tmp_path):
    pytest.importorskip("typer")
    (folder := tmp_path / "unié").symlink_to(phantoms)
    code = (
        "import sys; sys.stdout.reconfigure(encoding='ascii')\n"
        "from voxloom.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    output = str(tmp_path / "oé")
    run = subprocess.run(
        [sys.executable, "-c", code, "prepare", str(folder), output], capture_output=True
    )
    assert run.returncode == ExitCode.OK
    assert b"o\\xe9; read them with" in run.stdout


def test_without_typer_the_extra_is_named():
    code = (
        "import sys; sys.modules['typer'] = None\n"
        "from voxloom.cli import main; sys.exit(main(['info']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert run.returncode == ExitCode.MISSING
    assert run.stderr == (
        "voxloom: typer is needed for the command line and is not installed; "
        "run: pip install 'voxloom[cli]'\n"
    )


def test_help_brings_in_nothing_slow():
    pytest.importorskip("typer")
    code = (
        "import sys; from voxloom.cli import main; main(['--help'])\n"
        "print({'torch', 'matplotlib', 'nibabel', 'scipy'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert run.stdout.splitlines()[-1] == "set()"
