"""The documents say what is there: each command, flag, recipe and path that they name, and the other way round."""

import contextlib
import io
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core import networks, recipes
from fer_core.cli import live, train
from fer_core.cli.train import parse
from fer_core.config import TrainConfig
from fer_core.data.sample import draw_face
from fer_core.errors import NonFiniteLossError, RunHeldError
from fer_core.job.arguments import validate
from fer_core.labels import FER2013_LABELS
from fer_core.web import settings as web_settings
from jobs import __main__ as jobs_main

PROJECT = Path(__file__).parents[1]
SCRIPTS = {
    "python train_emotion_model.py": train.parse,
    "python realtime_emotion_detector.py": live.parse,
}
DOCUMENTS = {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md")))
}
EVERYTHING = "\n\n".join(DOCUMENTS.values())
README, CONTRIBUTING, TRAINING = (DOCUMENTS[name] for name in ("README.md", "CONTRIBUTING.md", "docs/training.md"))
README_BYTES = 15_000
WORDS_IN_TEN_MINUTES = 2_500
JOB_COMMANDS = [name for group in jobs_main.COMMANDS.values() for name in group]

FLAG = re.compile(r"--[a-z][a-z-]*(?:\.[a-z-]+)?")
PATH = re.compile(r"(?:fer_core|jobs|tests|docs|benchmarks)/[\w./-]*|[\w-]+\.(?:py|lock|toml)|Makefile")
MADE_BY_THE_READER = {"run.toml", "plain.py", "best.toml"}
PYTEST = "python -m pytest"
OTHERS = (
    *("CUDA_VISIBLE_DEVICES=", "celery -A jobs worker", "`docker compose", "systemctl", "docker compose", "cp "),
    PYTEST,
)
"""Lines of commands that are not ours, with flags of their own."""
SET_BY_JOBS = {"FER_EVENT", "FER_JOB", "FER_MESSAGE"}
"""For the processes that they start."""
OTHERS_FLAGS = {"--kwargs", "--build", "--networks", "--per-class", "--directory"}


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def command_lines(text: str) -> list[str]:
    """Returns the lines of commands, in fences or indented, and the commands within sentences and tables."""
    lines = [line for block in code_blocks(text, "sh") for line in block.splitlines()]
    return [*lines, *re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE), *code_spans(text)]


def commands(beginning: str) -> list[str]:
    """Returns every command of the documents that begins so, each once, without what stands before it."""
    lines = (line for text in DOCUMENTS.values() for line in command_lines(text))
    return sorted({line[line.index(beginning) :].strip() for line in lines if beginning in line})


def section(document: str, title: str) -> str:
    return re.split(rf"\n##+ {re.escape(title)}\n", DOCUMENTS[document])[1].split("\n## ")[0]


def table(text: str, first_heading: str) -> list[list[str]]:
    """Returns the cells of the table that begins with that heading, without its two heading lines."""
    rows = text[text.index(f"| {first_heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]


def flag_names(fields) -> set[str]:
    return {f"--{name.replace('_', '-')}" for name in fields}


def flags_in_help(show_help: Callable[[list[str]], object], *words: str) -> set[str]:
    """Returns all flags that --help lists."""
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        patch.setenv("COLUMNS", "200")
        show_help([*words, "--help"])
    lines = [line for line in shown.getvalue().splitlines() if re.match(r"[│ ] (-h, )?--", line)]
    return {flag for line in lines for flag in FLAG.findall(re.split(r" {2,}", line.strip("│ "))[0])}


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of the programs, by what they are for."""
    documented = set(re.findall(r"python -m jobs (submit \w+|[a-z]+)", EVERYTHING))
    of_jobs = {flag for words in documented for flag in flags_in_help(jobs_main.main, *words.split())}
    parsers = {"training": train.parse, "live": live.parse, "web": web_settings.parse}
    return {name: flags_in_help(parse_script) for name, parse_script in parsers.items()} | {"jobs": of_jobs}


@pytest.fixture
def example_folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """The working directory of a reader who has saved the examples: the settings and the network."""
    (tmp_path / "run.toml").write_text(code_blocks(TRAINING, "toml")[0], encoding="utf-8")
    (tmp_path / "models" / "searches" / "ID").mkdir(parents=True)
    for best in (tmp_path / "best.toml", tmp_path / "models" / "searches" / "ID" / "best.toml"):
        shutil.copyfile(tmp_path / "run.toml", best)
    (tmp_path / "password.txt").write_text("correct horse battery\n", encoding="utf-8")
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "plain.py").write_text(code_blocks(CONTRIBUTING, "python")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path / "networks")])
    yield tmp_path
    sys.modules.pop("fer_core.networks.plain", None)


@pytest.mark.parametrize("command", [command for script in SCRIPTS for command in commands(script)])
def test_each_command_of_the_documents_is_understood(command, example_folder):
    parse_script = next(parse_script for script, parse_script in SCRIPTS.items() if command.startswith(script))
    flags = shlex.split(command, comments=True)[2:]
    if flags == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            parse_script(flags)
    else:
        assert parse_script(flags).wants


@pytest.mark.parametrize("command", commands("python -m jobs submit "))
def test_each_job_of_the_documents_can_be_sent(command, example_folder, monkeypatch, capsys):
    monkeypatch.setenv("FER_QUEUES", "gpu.80gb,gpu.24gb")  # as the document says
    jobs_main.main([*shlex.split(command, comments=True)[3:], "--dry-run"])
    assert "Not sent" in capsys.readouterr().out


def test_each_celery_call_each_command_for_the_web_page_and_each_selection_of_tests_works(example_folder):
    calls, pages, selections = (commands(it) for it in ("celery -A jobs call", "python -m fer_core.web", PYTEST))
    assert all((calls, pages, selections))
    for command in calls:
        task, *flags = shlex.split(command, comments=True)[4:]
        assert flags[::2] in ([], ["--kwargs"])
        assert validate(task, json.loads(flags[1]) if flags else {})
    for command in pages:
        assert web_settings.parse(shlex.split(command, comments=True)[3:])
    for command in selections:
        path, *words = shlex.split(command)[3:]
        assert (PROJECT / path).exists() and words[::2] in ([], ["-k"])
        assert not words or re.search(rf"^def test_\w*{words[1]}", (PROJECT / path).read_text(), re.MULTILINE)


def test_each_flag_in_the_documents_exists(flags):
    lines = [line for line in EVERYTHING.splitlines() if not line.strip().startswith(OTHERS)]
    named = {flag for line in lines for flag in FLAG.findall(line)}
    options = {name for network in networks.names() for name in networks.network_module(network).Options.model_fields}
    of_networks = {flag.replace("--", "--network-options.") for flag in flag_names(options)}
    assert named <= set().union(*flags.values()) | of_networks | OTHERS_FLAGS


def test_each_command_of_the_jobs_is_documented_and_the_other_way_round():
    assert set(re.findall(r"python -m jobs (\w+)", EVERYTHING)) == set(JOB_COMMANDS)


def test_each_flag_but_those_of_settings_is_documented(flags):
    everywhere = {"--help", "--models-dir", "--history-dir"}
    for name, documents in (("live", ("docs/live.md", "docs/studies.md")), ("web", ("docs/web-and-api.md",))):
        assert flags[name] - everywhere <= {flag for one in documents for flag in FLAG.findall(DOCUMENTS[one])}
    of_settings = flag_names(TrainConfig.model_fields)
    others = {flag.replace("--no-", "--") for flag in flags["training"] if not flag.startswith("--network-options.")}
    assert {"--resume", "--promote"} <= others - of_settings <= set(FLAG.findall(TRAINING))


def test_each_recipe_has_a_row_with_its_settings():
    rows = {row[0].strip("`"): row for row in table(section("docs/training.md", "Recipes"), "recipe")}
    assert list(rows) == list(recipes.RECIPES)
    for name, row in rows.items():
        config = recipes.recipe_config(name)
        assert row[3:6] == [f"{config.learning_rate:g}", str(config.epochs), str(config.batch_size)], name
    results = {code_spans(row[0])[0] for row in table(section("README.md", "Results"), "recipe")}
    assert {"resnet", "tiny"} <= results <= set(recipes.RECIPES)


# A training sets the threads up, which Keras allows only before its first operation: so the shared run comes first.
@pytest.mark.usefixtures("trained_run")
def test_the_number_of_weights_of_each_recipe_is_right():
    import keras

    for name, _, weights, *_ in table(section("docs/training.md", "Recipes"), "recipe"):
        config = recipes.recipe_config(name.strip("`"))
        with keras.StatelessScope(initialize_variables=False):  # to draw the weights takes most of the time
            network = networks.build(config, FER2013_LABELS)
        assert f"{network.count_params():,}" == weights, name


def test_each_make_target_exists_and_each_target_is_documented():
    declared = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE).group(1).split()
    named = {target for command in commands("make ") for target in re.findall(r"\bmake ([a-z][\w-]*)", command)}
    assert named == set(declared) - {"headless-opencv"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_path_of_the_project_that_a_document_names_exists(document):
    paths = {span for span in code_spans(DOCUMENTS[document]) if PATH.fullmatch(span)} - MADE_BY_THE_READER
    assert len(paths) >= {"CONTRIBUTING.md": 16, "docs/architecture.md": 16}.get(document, 0)
    assert [path for path in sorted(paths) if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", DOCUMENTS[document]):
        path, _, anchor = target.partition("#")
        if path.startswith("https://"):
            continue
        assert not path.startswith(("/", "http:")), target
        file = (PROJECT / document).parent / path if path else PROJECT / document
        assert file.exists(), target
        headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings], target


def test_the_readme_is_short_and_leads_to_every_document_which_is_read_in_ten_minutes():
    assert len(README.encode()) <= README_BYTES
    linked = re.findall(r"\]\(([\w./-]+\.md)[#)]", README)
    assert set(DOCUMENTS) - {"README.md"} <= set(linked)
    assert [name for name, text in DOCUMENTS.items() if len(text.split()) > WORDS_IN_TEN_MINUTES] == []


def test_each_kind_of_change_names_the_place_to_touch():
    rows = table(section("CONTRIBUTING.md", "Where everything else is"), "I want to change …")
    assert len(rows) > 20
    for change, place in rows:
        assert any(PATH.fullmatch(span) for span in code_spans(place)), change


def test_each_folder_of_the_code_is_on_the_map():
    rows = table(section("docs/architecture.md", "The map"), "path")
    on_the_map = {span for row in rows for span in code_spans(row[0])}
    folders = {f"fer_core/{path.parent.name}/" for path in (PROJECT / "fer_core").glob("*/__init__.py")}
    assert folders <= on_the_map


def test_the_settings_example_is_valid(example_folder):
    settings = tomllib.loads((example_folder / "run.toml").read_text(encoding="utf-8"))
    config = parse(["--config", "run.toml"]).config
    assert config.model_dump(include=set(settings)) == settings


def test_the_variables_and_exit_codes_in_the_documents_are_those_of_the_code():
    sources = [*(PROJECT / "fer_core").rglob("*.py"), *(PROJECT / "jobs").rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"\"(FER_[A-Z_]+)\"", path.read_text(encoding="utf-8"))}
    rows = table(DOCUMENTS["docs/troubleshooting.md"], "environment variable")
    named = {span for row in rows for span in code_spans(row[0])}
    assert named == read - SET_BY_JOBS | {"FER_TEST_DATA", "KERAS_BACKEND", "NPM_CONFIG_REGISTRY"}
    codes = section("docs/troubleshooting.md", "Exit codes")
    assert f"{NonFiniteLossError.exit_code} the loss became NaN" in codes
    assert f"{RunHeldError.exit_code} another process is training" in codes


def test_each_file_that_a_run_leaves_is_in_the_tree(trained_run):
    tree = code_blocks(section("docs/training.md", "What a run leaves"), "text")[0]
    left = [path.name for path in trained_run.folder.iterdir() if not path.name.startswith(".")]
    assert [name for name in left if name not in tree] == []


@pytest.mark.usefixtures("trained_run")
def test_the_example_of_a_network_builds(example_folder):
    model = networks.build(TrainConfig(network="plain"), FER2013_LABELS)
    assert model.output_shape == (None, len(FER2013_LABELS))


def test_the_code_for_using_a_model_runs(example_folder, capsys):
    shutil.copytree(PROJECT / "models" / "shipped", example_folder / "models" / "shipped")
    cv2.imwrite("face.png", np.full((60, 60), 128, np.uint8))
    exec(code_blocks(section("docs/training.md", "What a run leaves"), "python")[0], {})
    assert capsys.readouterr().out.split()[-2] in FER2013_LABELS


def test_the_code_for_recognising_emotions_runs(example_folder, monkeypatch, capsys):
    monkeypatch.setenv("FER_CACHE_DIR", str(example_folder / "cache"))
    face = draw_face("happy", np.random.default_rng(5), side=300)
    cv2.imwrite("face.jpg", cv2.copyMakeBorder(face, 90, 90, 90, 90, cv2.BORDER_CONSTANT, value=50))
    exec(code_blocks(DOCUMENTS["docs/live.md"], "python")[0], {"frame_bgr": cv2.imread("face.jpg")})
    assert " happy " in capsys.readouterr().out


def test_the_versions_to_install_are_the_locked_ones():
    locked = {
        match for lock in PROJECT.glob("*.lock") for match in re.findall(r"^([\w-]+)==([\w.]+)", lock.read_text(), re.M)
    }
    pinned = re.findall(r"\"([\w-]+)(?:\[[\w-]+\])?==([\w.]+)\"", EVERYTHING)
    assert {"tensorflow", "jax"} <= {name for name, _ in pinned}
    assert set(pinned) <= locked
    named = set(re.findall(r"-r ([\w-]+\.lock)", EVERYTHING))
    assert named
    assert [name for name in named if not (PROJECT / name).is_file()] == []
