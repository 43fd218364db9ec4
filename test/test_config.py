"""The configuration: every field on the command line, typed errors, recipes, schedules."""

import argparse
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quietfield.network import unet
from train import api
from train.config import BLOCKS, NORMS, SKIPS, Config, from_record
from train.files import read_toml, to_toml
from train.learn.schedule import build_schedule
from train.options import Row, table
from train.recipes import RECIPES, add_arguments, configuration, recipes
from train.timetable import Timetable

ROOT = Path(__file__).resolve().parents[1]


def test_a_mistyped_option_is_told_without_waiting_for_torch() -> None:
    """Importing it takes more than a second; so its choices are written twice, and held equal."""
    assert (BLOCKS, NORMS, SKIPS) == (unet.BLOCKS, unet.NORMS, unet.SKIPS)
    script = (
        "import sys; sys.argv = ['train', 'fit', '--data', '.', '--out', 'o', '--nonsense']\n"
        "from train.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'torch', 'lightning', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "unrecognized arguments: --nonsense" in result.stderr
    assert result.stdout == "[]\n"


def parse(*words: str) -> Config:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return configuration(parser.parse_args(words))


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda f: f.name)
def test_every_field_can_be_set(field: dataclasses.Field[object]) -> None:
    others = {
        "block": "plain", "norm": "batch", "normalisation": "noise", "frames": "first", "target": "sim",
        "split": "fields", "learn": "noise2void", "mask": (0, 4), "skips": "added",
        "origins": "any", "optimiser": "adam", "schedule": "constant", "loss": "l1", "precision": "float32",
        "photons": (2.0, 9.0), "levels": (1.0, 16.0),
        "channels": (8, 16), "exclude": (5,), "image_channels": (0, 2),
            "scale": 2, "average": 4, "unshuffle": 3, "epochs": 7, "patience": 3,
    }  # fmt: skip
    option = "--" + field.name.replace("_", "-")
    if isinstance(field.default, bool):
        value: object = not field.default
        words = [option if value else option.replace("--", "--no-", 1)]
    else:
        value = others.get(field.name, type(field.default)(0.5) if isinstance(field.default, float) else 3)
        words = [option, *map(str, value if isinstance(value, tuple) else [value])]
    config = parse(*words)
    assert getattr(config, field.name) == value
    assert dataclasses.replace(config, **{field.name: field.default}) == Config()
    assert from_record(dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lr", "fast"), "argument --lr: invalid float value: 'fast'"),
        (("--optimiser", "sgd"), "argument --optimiser: invalid choice: 'sgd'"),
        (("--recipe", "none"), "argument --recipe: invalid choice: 'none'"),
        (("--block", "dense"), "argument --block: invalid choice: 'dense'"),
        (("--channels", "a"), "argument --channels: invalid int value: 'a'"),
    ],
)
def test_wrong_values_are_named(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(*words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batch", "0"), "batch: expected 1 or more, found 0"),
        (("--redraw", "1.5"), "redraw: expected 0 to 1, found 1.5"),
        (("--scale", "3"), "scale: expected 1 to 2, found 3"),
        (("--dropout", "1"), "dropout: expected 0 to 0.99, found 1"),
        (("--channels",), r"channels: expected two or more positive numbers, a level each, found \(\)"),
        (("--lr", "-1"), "lr: expected 0 to 1, found -1"),
    ],
)
def test_values_out_of_bounds_are_named(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(*words)


def test_help_and_table_tell_of_every_option_by_groups() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = "".join(parser.format_help().split())  # lines may break anywhere
    rows = table()
    groups = list(dict.fromkeys(row.group for row in rows))
    assert groups == ["network", "data", "noise", "augmentation", "objective", "optimisation", "run"]
    assert [row.group for row in rows] == sorted((row.group for row in rows), key=groups.index)
    assert len(rows) == len(dataclasses.fields(Config))
    for row in rows:
        assert row.help.endswith(".")
        assert "".join(row.help.split()) in text
    assert "(default3.0;0ormore)" in text
    assert (
        Row("network", "--attention, --no-attention", "off", "", "Add self-attention in windows at the deepest level.")
        in rows
    )


def test_recipes_are_listed_with_what_they_change() -> None:
    text = recipes()
    for name in RECIPES:
        assert f"{name}: " in text
        assert parse("--recipe", name) == RECIPES[name][1]
    assert "--norm batch" in text
    assert parse("--recipe", "report", "--lr", "1e-4").lr == 1e-4


def test_recipes_are_listed_as_they_are_typed() -> None:
    listed: dict[str, list[str]] = {}
    for block in re.split(r"^(?=\S)", recipes(), flags=re.MULTILINE)[1:]:
        title, *options = block.splitlines()
        listed[title.partition(":")[0]] = " ".join(options).split()
    assert {name: parse(*words) for name, words in listed.items()} == {n: c for n, (_, c) in RECIPES.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_come_back_from_toml_exactly(name: str, tmp_path: Path) -> None:
    text, config = RECIPES[name]
    written = to_toml(config, text)
    (tmp_path / "mine.toml").write_text(written, encoding="utf-8")
    again = read_toml(tmp_path / "mine.toml")
    assert again == config
    for field in dataclasses.fields(Config):
        assert type(getattr(again, field.name)) is type(getattr(config, field.name))
    assert "# Peak learning rate. (0 to 1)\nlr = " in written
    assert max(map(len, written.splitlines())) <= 120
    assert parse("--config", str(tmp_path / "mine.toml"), "--lr", "0.25") == dataclasses.replace(config, lr=0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight-decay = 1", r"mine.toml: weight-decay: expected an option .*, found none: write weight_decay"),
        ("xyz = 1", r"mine.toml: xyz: expected an option .*, found none: see 'recipes pairs --toml'"),
        ("lr = 'fast'", 'mine.toml: lr: expected a number, found "fast"'),
        ("steps = 1.5", "mine.toml: steps: expected a whole number, found 1.5"),
        ("steps = true", "mine.toml: steps: expected a whole number, found true"),
        ("flips = 1", "mine.toml: flips: expected true or false, found 1"),
        ("channels = 64", "mine.toml: channels: expected a list of numbers, found 64"),
        ("channels = ['a', 2]", 'mine.toml: channels: expected a whole number, found "a"'),
        ("lr = 7", "mine.toml: lr: expected 0 to 1, found 7"),
        ("block = 'dense'", "mine.toml: block: expected one of plain, residual, found 'dense'"),
        ("lr = ", r"mine.toml: expected a TOML file, found a mistake: Invalid value"),
    ],
)
def test_mistakes_of_a_file_name_it_and_the_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_toml(tmp_path / "mine.toml")


def test_a_file_may_leave_options_out(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("lr = 1\nphotons = [1, 2]")
    assert read_toml(tmp_path / "mine.toml") == Config(lr=1.0, photons=(1.0, 2.0))


def test_steps_that_are_asked_for_count_and_not_the_epochs_of_the_recipe() -> None:
    assert (parse("--recipe", "report", "--steps", "20").steps, parse("--recipe", "report").epochs) == (20, 100)
    assert parse("--recipe", "report", "--steps", "20").epochs == 0
    assert parse("--steps", "20", "--epochs", "3").epochs == 3


def rates(schedule: str, steps: int = 100, **changes: float) -> list[float]:
    config = Config(schedule=schedule, lr=0.1, warmup=10, validate_every=10, **changes)  # type: ignore[arg-type]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
    plan = build_schedule(config, optimiser, Timetable(steps))
    result = []
    for step in range(steps):
        result.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if schedule != "plateau":
            plan["scheduler"].step()
        elif (step + 1) % config.validate_every == 0:
            plan["scheduler"].step(30.0)
    return result


def test_schedules_go_as_their_names_say() -> None:
    constant, cosine, cycle, cyclic, plateau = map(rates, ("constant", "cosine", "one-cycle", "cyclic", "plateau"))
    assert constant[0] == pytest.approx(0.01)
    assert constant[10:] == pytest.approx([0.1] * 90)
    assert cosine[0] == pytest.approx(0.01)
    assert max(cosine) == pytest.approx(0.1, rel=0.05)
    assert cosine[-1] < 0.001
    assert cosine[10:] == sorted(cosine[10:], reverse=True)
    assert max(cycle) == pytest.approx(0.1, rel=0.01)
    assert cycle[0] < 0.01
    assert cycle[-1] < 0.001
    assert [i for i in range(1, 99) if cyclic[i - 1] < cyclic[i] > cyclic[i + 1]] == [10, 30, 50, 70, 90]
    assert plateau[0] == 0.1, "no gain for three validations halves the rate"
    assert plateau[-1] == pytest.approx(0.025)


def test_python_takes_lists_and_names_what_is_wrong() -> None:
    assert api.recipe("quick", channels=[8, 16]) == api.recipe("quick", channels=(8, 16))
    for changes, message in (
        ({"stepz": 3}, "stepz: expected an option of the configuration, found none: write steps"),
        ({"channels": 8}, "channels: expected a list of numbers, found 8"),
        ({"channels": ["8", 16]}, "channels: expected a number, found '8'"),
        ({"lr": "fast"}, "lr: expected a number, found 'fast'"),
    ):
        with pytest.raises(ValueError, match=message):
            api.recipe("quick", **changes)
    with pytest.raises(ValueError, match=r"recipe: expected one of pairs, .*, found 'nope'"):
        api.recipe("nope")
