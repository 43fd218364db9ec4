"""`python -m train VERB` in a checkout, `quietfield-train VERB` where the package is installed."""

from __future__ import annotations

import argparse
import importlib
import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import recipes
from .config import from_record
from .files import to_toml
from .options import changes
from .origin import is_run, origin, repeat

log = logging.getLogger(__package__)

Arguments = argparse.Namespace

SCRIPT = "quietfield-train"
# What training needs besides the library, by the names of their modules.
EXTRA = ("lightning", "tensorboard", "skimage", "matplotlib", "torchmetrics", "microssim")
INSTALL = {**dict.fromkeys(EXTRA, "pip install 'quietfield[train]'"), "wandb": "pip install 'quietfield[wandb]'"}
BEHIND = 3  # exit code where a network is worse than doing nothing


def main() -> int:
    """Run one command; a mistake in what it was given is one line and exit code 1.

    torch and Lightning are imported when the command runs, so that a mistyped option is told at once.
    """
    parser = _parser()
    arguments = parser.parse_args()
    _log(arguments.verbose)
    if arguments.run is _fit:
        log.info("loads PyTorch and Lightning")
    if arguments.run is not _recipes:
        from quietfield.machine import keep_memory

        keep_memory()
    try:
        code: int = arguments.run(arguments) or 0
    except ModuleNotFoundError as error:
        if (name := (error.name or "").partition(".")[0]) not in INSTALL:
            raise
        return _fail(parser, arguments, f"expected the package {error.name}, found none: {INSTALL[name]}")
    except BrokenPipeError:  # who reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        return _fail(parser, arguments, str(error))
    except KeyboardInterrupt as error:
        number = signal.Signals(error.args[0] if error.args else signal.SIGINT)
        return _fail(parser, arguments, f"interrupted by {number.name}", 128 + number)
    return code


def _log(verbose: bool) -> None:
    """Send the log to the terminal; with `verbose`, what matters in a search for a mistake alone is in it, too."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    for name in (__package__ or "train", "quietfield"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.NOTSET)


def _fail(parser: argparse.ArgumentParser, arguments: Arguments, message: str, code: int = 1) -> int:
    print(f"{parser.prog} {arguments.command}: {message}", file=sys.stderr)
    return code


def _program() -> str:
    """How this program was started."""
    name = Path(sys.argv[0]).stem
    return name if name == SCRIPT else f"python -m {__package__}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_program(), description="Prepare, train, measure and export a denoiser.")
    commands = parser.add_subparsers(dest="command", required=True)
    verbs: list[tuple[str, Callable[[Arguments], int | None], Callable[[argparse.ArgumentParser], None], str]] = [
        ("prepare", _prepare, _prepare_options, "say what a folder holds, and prepare its images for training"),
        ("recipes", _recipes, _recipes_options, "list the named configurations, or write one as a file for --config"),
        ("fit", _fit, _fit_options, "train a network"),
        ("evaluate", _evaluate, _evaluate_options, "measure a model on whole images, through the container's pipeline"),
        ("export", _export, _export_options, "make a model folder of a checkpoint"),
        ("thin", _thin, _thin_options, "make a network with added skips of one that concatenates them: a fifth faster"),
        (
            "ablate",
            _ablate,
            _ablate_options,
            "train a grid of configurations for a fixed time each, and draw up the table",
        ),
        ("noise", _noise, _noise_options, "measure the noise of an image or a stack: level, camera, correlation, mask"),
        ("superres", _superres, _superres_options, "set a x2 model beside bicubic enlargement, on held-out SIM images"),
    ]
    for name, run, add_options, text in verbs:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        add_options(added)
        added.add_argument("--verbose", action="store_true", help="log what is cached and chosen, too")
    return parser


def _prepare_options(c: argparse.ArgumentParser) -> None:
    _add_data(c)
    c.add_argument("--preview", type=Path, metavar="PNG", help="draw some pairs side by side, with what is measured")
    recipes.add_arguments(c)


def _recipes_options(c: argparse.ArgumentParser) -> None:
    c.add_argument("name", nargs="?", metavar="NAME", help="list this one alone")
    c.add_argument("--toml", action="store_true", help="write all options of NAME as a TOML file, with their help")


def _fit_options(c: argparse.ArgumentParser) -> None:
    c.usage = "%(prog)s --data DIR --out DIR [options]"
    _add_data(c, required=False)
    c.add_argument("--clean", type=Path, metavar="DIR", help="clean images, for the share --synthetic")
    c.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for checkpoints, log and pictures")
    c.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out, with its configuration")
    c.add_argument(
        "--max-minutes", type=float, default=math.inf, metavar="N",
        help="train for this time: as many steps as fit into it; with --steps, --epochs or --resume, stop with a "
        "checkpoint after it",
    )  # fmt: skip
    c.set_defaults(by_time=False)
    c.add_argument("--initial", type=Path, help="start from the weights of this checkpoint or model folder")
    c.add_argument(
        "--finetune", nargs="?", const="", metavar="MODEL",
        help="make this model folder or checkpoint (default: the shipped general network) suit --data, in 5 minutes or "
        "--max-minutes; without --recipe, by the recipe 'finetune'",
    )  # fmt: skip
    c.add_argument(
        "--logger", choices=["tensorboard", "wandb"], default="tensorboard",
        help="what gets metrics, pictures and options; wandb (Weights & Biases) is an extra",
    )  # fmt: skip
    _add_machine(c)
    recipes.add_arguments(c)


def _evaluate_options(c: argparse.ArgumentParser) -> None:
    c.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="any layout; or a folder with w2s/ and w2s-raw16/"
    )
    _add_which(c)
    measured = c.add_mutually_exclusive_group()
    measured.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the shipped one)")
    measured.add_argument("--checkpoint", type=Path, metavar="FILE", help="measure this checkpoint instead")
    c.add_argument(
        "--on", choices=["test", "validation", "all"], help="which fields; default: test where there are any"
    )
    c.add_argument(
        "--out", type=Path, metavar="DIR", help="write evaluation.json, evaluation.csv and evaluation.png here"
    )
    c.add_argument("--csv", type=Path, metavar="FILE", help="write per-image values of the test images here")


def _export_options(c: argparse.ArgumentParser) -> None:
    c.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    c.add_argument("--model", type=Path, required=True, metavar="DIR", help="gets model.json and weights.pt")
    c.add_argument("--overwrite", action="store_true", help="replace the model in --model, if there is one")
    c.add_argument("--name", default="U-Net")
    c.add_argument("--autocast", choices=["float16", "bfloat16"], help="half precision on CUDA")
    c.add_argument("--note", default="", help="what the record should say of earlier stages")
    c.add_argument("--general", type=Path, metavar="DIR", help="model folder for images unlike the training images")
    c.add_argument("--stack", type=Path, metavar="DIR", help="model folder for movies and stacks (recipe 'stack')")
    c.add_argument("--adapt", default="off", metavar="auto|off|MINUTES", help="what inference does to suit each file")
    c.add_argument("--blend", type=Path, metavar="PATH", help="average the weights with this checkpoint's or model's")
    c.add_argument("--share", type=float, default=0.5, help="of --blend in that average (default 0.5)")


def _thin_options(c: argparse.ArgumentParser) -> None:
    c.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="of a run with --skips concatenated")
    _add_data(c)
    c.add_argument("--clean", type=Path, metavar="DIR", help="clean images, if the run had some")
    c.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for best.ckpt")


def _ablate_options(c: argparse.ArgumentParser) -> None:
    _add_data(c)
    c.add_argument("--clean", type=Path, metavar="DIR", help="clean images, for the share --synthetic")
    c.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the runs and ablation.md")
    c.add_argument("--minutes", type=float, required=True, help="of training for each")
    c.add_argument("--each", action="store_true", help="one change at a time, instead of every combination")
    c.add_argument("--grid", nargs="+", default=[], metavar="FIELD=A,B", help="as loss=mse,l1 channels=16x32x64,32x64")
    _add_machine(c)
    recipes.add_arguments(c)


def _noise_options(c: argparse.ArgumentParser) -> None:
    c.add_argument("file", type=Path)
    c.add_argument("--plot", type=Path, metavar="PNG", help="draw variance against mean, and the autocorrelation")
    c.add_argument("--offset", type=float, help="the camera's counts without light, if known: tells the read noise")


def _superres_options(c: argparse.ArgumentParser) -> None:
    c.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of SIM reconstructions")
    c.add_argument(
        "--model",
        type=Path,
        default=Path("models/super-resolution"),
        metavar="DIR",
        help="folder of the x2 model (default: models/super-resolution, which a checkout has)",
    )
    c.add_argument("--csv", type=Path, metavar="FILE", help="write per-image values here")
    c.add_argument("--figure", type=Path, metavar="PNG", help="draw crops here")


def _add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument(
        "--data", type=Path, required=required, metavar="DIR", help="images, in any layout that 'prepare' knows"
    )
    _add_which(parser)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), metavar="DIR", help="keeps prepared images")
    parser.add_argument("--no-cache", dest="cache", action="store_const", const=None, help="prepare them on the fly")


def _add_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--noisy", default="", metavar="PATTERN", help="noisy files below --data, as 'low/*.tif', if names do not tell"
    )
    parser.add_argument(
        "--truth", default="", metavar="PATTERN", help="their ground truths, as 'high/*.tif'; wildcards pair the two"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first image that cannot be used")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accelerator", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument("--devices", type=int, default=1, help="GPUs, or processes that share the CPU")
    parser.add_argument("--nodes", type=int, default=1, help="machines; start the command on each, as Lightning says")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw crops ahead, for each device")
    parser.add_argument(
        "--resident",
        action=argparse.BooleanOptionalAction,
        help="keep the images in the device's memory; default: on a GPU, if they fit",
    )
    parser.add_argument("--compile", action="store_true", help="compile the network: worth it for long runs on a GPU")


def _which(arguments: Arguments) -> dict[str, Any]:
    """What `find_images` asks of the command line."""
    return {"patterns": (arguments.noisy, arguments.truth), "strict": arguments.strict}


def _machine(arguments: Arguments) -> Any:
    from .fit import Machine

    a = arguments
    return Machine(a.accelerator, a.devices, a.nodes, a.workers, a.resident, a.compile)


def _prepare(arguments: Arguments) -> int:
    """1 if `fit` would stop."""
    config = recipes.configuration(arguments)
    from . import pictures
    from .data.evidence import doubts, look_at, shared
    from .data.prepare import prepare, verdict

    patterns = (arguments.noisy, arguments.truth)
    text = prepare(arguments.data, config, arguments.cache, patterns)
    print(text)
    images, words = verdict(arguments.data, config, arguments.cache, patterns, arguments.strict)
    looks = look_at([*images.training, *images.validation]) if images else []
    for doubt in [*doubts(looks), *(shared(images.training, images.validation) if images else [])]:
        print(f"  look: {doubt}")
    for reason in images.left_out if images else ():
        if reason not in text:
            print(f"  left out: {reason}")
    if arguments.preview and looks:
        pictures.preview(looks, arguments.preview)
    elif arguments.preview:
        print("  preview: not drawn, as there are no pairs that can be used")
    print(f"  fit: {words}")
    return 0 if images else 1


def _recipes(arguments: Arguments) -> None:
    if arguments.toml:
        name = arguments.name or "pairs"
        text, config = recipes.recipe(name)
        print(to_toml(config, f"The recipe {name!r}: {text}."))
    else:
        print(recipes.recipes(arguments.name))


def _fit(arguments: Arguments) -> int:
    """3 if the network is worse than doing nothing."""
    config = None if arguments.resume else recipes.configuration(arguments)  # a mistake in it is told at once
    _complete(arguments)
    from .callbacks import CHECKPOINT
    from .checkpoint import like, load_checkpoint, resumed
    from .data.sources import find_images
    from .fit import fit
    from .learn.schedule import MONITOR
    from .measure.baselines import is_behind

    if arguments.resume and not (arguments.noisy or arguments.truth):
        saved = load_checkpoint(arguments.out / CHECKPOINT)["run"].get("patterns", ("", ""))
        arguments.noisy, arguments.truth = saved
    if config and arguments.initial:
        config = like(config, arguments.initial, changes(arguments))
    config = config or resumed(arguments.out, changes(arguments), recipes.base(arguments))
    log.info("reads the images: %s", arguments.data)
    images = find_images(arguments.data, config, arguments.clean, arguments.cache, **_which(arguments))
    names = ("resume", "max_minutes", "by_time", "initial", "logger")
    options = {name: getattr(arguments, name) for name in names}
    told = origin(arguments, _program())
    path = fit(
        config,
        images,
        arguments.out,
        machine=_machine(arguments),
        finetune=arguments.finetune is not None,
        origin=told,
        **options,
    )
    run = load_checkpoint(path)["run"]
    return BEHIND if is_behind(run[MONITOR], run.get("baselines", {})) else 0


def _counted(arguments: Arguments) -> bool:
    """Whether the command line says how many steps there are."""
    return arguments.steps is not None or arguments.epochs is not None


def _complete(arguments: Arguments) -> None:
    """Work out what the command line leaves open: what a run that is to be repeated had, and whether time is the plan.

    Raises
    ------
    ValueError
        If there is no data.
    ModuleNotFoundError
        If the logger is not installed.
    """
    if arguments.finetune is not None and not arguments.resume:
        _complete_finetuning(arguments)
    arguments.by_time = arguments.max_minutes < math.inf and not _counted(arguments) and not arguments.resume
    if is_run(arguments.config) and not arguments.resume:
        repeat(arguments, _parser().parse_args(["fit", "--out", ""]), steps=_counted(arguments))
    if arguments.data is None:
        raise ValueError("data: expected a folder of images, found none: give --data DIR, or --config with a run.json")
    if arguments.logger != "tensorboard":
        importlib.import_module(arguments.logger)


def _complete_finetuning(arguments: Arguments) -> None:
    """What network to start from, and how long to train, if the command line does not say."""
    from quietfield.front import SHIPPED
    from quietfield.network.model import find_model

    from .export import GENERAL

    if arguments.recipe and recipes.RECIPES[arguments.recipe][1].supervised and arguments.recipe != "finetune":
        raise ValueError(
            f"finetune: expected no recipe for pairs besides, found --recipe {arguments.recipe}: leave it out, or give "
            "--initial in place of --finetune"
        )
    if arguments.initial is not None:
        raise ValueError(f"finetune: expected one network to start from, found --initial {arguments.initial}, too")
    arguments.initial = Path(arguments.finetune) if arguments.finetune else find_model(list(SHIPPED)) / GENERAL
    if arguments.max_minutes == math.inf and not _counted(arguments):
        arguments.max_minutes = recipes.FINETUNING


def _evaluate(arguments: Arguments) -> None:
    from quietfield.front import SHIPPED
    from quietfield.machine import choose_device
    from quietfield.network.model import find_model, load_model
    from quietfield.network.predict import Denoiser

    from .checkpoint import load_checkpoint, load_network, run_normalisation
    from .folders import make_folder
    from .measure.cases import find_cases
    from .measure.evaluate import evaluate
    from .measure.reports import save, summary, write_csv

    if arguments.out:
        make_folder(arguments.out, "--out")
    if arguments.checkpoint:
        run = load_checkpoint(arguments.checkpoint)["run"]
        denoiser = Denoiser(load_network(arguments.checkpoint), run_normalisation(run), choose_device())
    else:
        model = load_model(arguments.model or find_model(list(SHIPPED)))
        print(f"weights sha256 {model.sha256}\n")
        denoiser, run = Denoiser.of(model, choose_device()), model.record["training"]
    left_out: list[str] | None = None if arguments.strict else []
    config, patterns = from_record(run["config"]), (arguments.noisy, arguments.truth)
    cases = find_cases(arguments.data, config, arguments.on, patterns, run)
    results = evaluate(denoiser, cases, left_out=left_out)
    for reason in left_out or []:
        print(f"left out: {reason}", file=sys.stderr)
    print(summary(results))
    if arguments.out:
        save(results, arguments.out)
    if arguments.csv:
        write_csv(results, arguments.csv)


def _export(arguments: Arguments) -> None:
    from .export import export

    a = arguments
    blend = (a.blend, a.share) if a.blend else None
    options = {"autocast": a.autocast, "note": a.note, "blend": blend, "adapt": a.adapt}
    others = {"general": a.general, "stack": a.stack}
    export(a.checkpoint, a.model, a.name, overwrite=a.overwrite, **options, **others)


def _thin(arguments: Arguments) -> None:
    from .data.sources import find_images
    from .thin import thick_config, thin_checkpoint

    a = arguments
    images = find_images(a.data, thick_config(a.checkpoint), a.clean, a.cache, **_which(a))
    print(thin_checkpoint(a.checkpoint, images, a.out))


def _ablate(arguments: Arguments) -> None:
    config = recipes.configuration(arguments)
    from .ablate import ablate, parse_grid, table

    grid = parse_grid(arguments.grid, arguments.each)
    steps = _counted(arguments) or any({"steps", "epochs"} & point.keys() for point in grid)
    options = {"by_time": not steps, "clean": arguments.clean, "cache": arguments.cache, **_which(arguments)}
    machine = _machine(arguments)
    outcomes = ablate(
        config, grid, arguments.data, arguments.out, minutes=arguments.minutes, machine=machine, **options
    )
    print(table(outcomes))
    if diverged := [o.name for o in outcomes if o.diverged]:
        raise ValueError(
            f"expected every configuration to learn, found {len(diverged)} of {len(outcomes)} that diverged "
            f"({', '.join(diverged)}): lower its lr, or set clip=1"
        )


def _noise(arguments: Arguments) -> None:
    from .noise import report

    print(report(arguments.file, arguments.plot, arguments.offset))


def _superres(arguments: Arguments) -> None:
    from .measure.superres import figure, measure, table, write_csv

    results = measure(arguments.model, arguments.data)
    print(table(results))
    if arguments.csv:
        write_csv(results, arguments.csv)
    if arguments.figure:
        figure(arguments.model, arguments.data, arguments.figure)


if __name__ == "__main__":
    raise SystemExit(main())
