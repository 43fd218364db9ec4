"""`python -m train fit | validate | export | evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import sys
from pathlib import Path

from denoiser.device import choose_device, keep_memory
from denoiser.model import load_model
from denoiser.normalise import Normalisation
from denoiser.predict import Denoiser
from train.config import Config, add_arguments, overrides
from train.data import W2S_TRAIN, read_pairs, split_fovs
from train.evaluate import evaluate, replace_table, table, write_csv
from train.export import export
from train.fit import build, fit, load_checkpoint, validate
from train.synthetic import read_clean


def main() -> int:
    """Run one command; a mistake in what it was given is one line and exit code 1."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    arguments = _parser().parse_args()
    keep_memory()
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f"python -m train {arguments.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train, export and measure a denoiser.")
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("fit", help="train a network on W2S pairs")
    command.add_argument("--data", type=Path, required=True, help="folder with noisy/ and clean/")
    command.add_argument("--clean", type=Path, help="folder of clean images, for the share --synthetic")
    command.add_argument("--out", type=Path, required=True, help="folder for checkpoint.pt and log.csv")
    command.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    command.add_argument("--max-minutes", type=float, default=math.inf, help="stop with a checkpoint after this time")
    command.add_argument("--initial", type=Path, help="start from the weights of this checkpoint or model folder")
    add_arguments(command)
    command.set_defaults(run=_fit)

    command = commands.add_parser("validate", help="measure a checkpoint on its own validation fields")
    command.add_argument("--data", type=Path, required=True, help="folder with noisy/ and clean/")
    command.add_argument("--checkpoint", type=Path, required=True)
    command.add_argument("--gain", type=float, default=1.0, help="multiply the frames first")
    command.add_argument("--offset", type=float, default=0.0, help="and add this")
    command.set_defaults(run=_validate)

    command = commands.add_parser("export", help="make a model folder of a checkpoint")
    command.add_argument("--checkpoint", type=Path, required=True)
    command.add_argument("--model", type=Path, required=True, help="folder to write model.json and weights.pt to")
    command.add_argument("--name", default="W2S U-Net")
    command.add_argument("--autocast", choices=["float16", "bfloat16"], help="half precision on CUDA")
    command.add_argument("--note", default="", help="what the record should say of earlier stages")
    command.set_defaults(run=_export)

    command = commands.add_parser("evaluate", help="measure a model on the test images")
    command.add_argument("--data", type=Path, required=True, help="folder with w2s/ and w2s-raw16/")
    command.add_argument("--model", type=Path, default=Path("resources"))
    command.add_argument("--csv", type=Path, help="write per-image values here")
    command.add_argument("--readme", type=Path, help="put the table between the markers of this file")
    command.set_defaults(run=_evaluate)
    return parser


def _fit(arguments: argparse.Namespace) -> None:
    config = dataclasses.replace(Config(), **overrides(arguments))
    training, validation = split_fovs(W2S_TRAIN, config.validation, config.seed)
    pairs = read_pairs(arguments.data, training), read_pairs(arguments.data, validation)
    if (config.synthetic > 0) != (arguments.clean is not None):
        raise ValueError("--clean and --synthetic go together: expected both or neither")
    clean = read_clean(arguments.clean) if arguments.clean else None
    fit(config, *pairs, arguments.out, arguments.resume, arguments.max_minutes, arguments.initial, clean)


def _validate(arguments: argparse.Namespace) -> None:
    state = load_checkpoint(arguments.checkpoint)
    network = build(state["config"])
    network.load_state_dict(state["average"])
    pairs = read_pairs(arguments.data, state["validation_fovs"])
    normalisation = Normalisation(**state["normalisation"])
    quality = validate(network, normalisation, pairs, choose_device(), gain=arguments.gain, offset=arguments.offset)
    print(f"mean SI-PSNR of {len(pairs)} images: {quality:.3f} dB")


def _export(arguments: argparse.Namespace) -> None:
    export(arguments.checkpoint, arguments.model, arguments.name, arguments.autocast, arguments.note)


def _evaluate(arguments: argparse.Namespace) -> None:
    model = load_model(arguments.model)
    results = evaluate(Denoiser(model.network, model.normalisation, choose_device()), arguments.data)
    text = table(results, arguments.data / "w2s" / "peers_081_100.csv")
    print(f"weights sha256 {model.sha256}\n\n{text}")
    if arguments.csv:
        write_csv(results, arguments.csv)
    if arguments.readme:
        replace_table(arguments.readme, text)


if __name__ == "__main__":
    raise SystemExit(main())
