"""toktrain: train a model on a stream of records."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

from midigen.cli._edge import (
    Command,
    Device,
    Example,
    Force,
    Inputs,
    LearnedOption,
    Option,
    RejectsFile,
    Run,
    Strict,
)


def toktrain(
    run: Run,
    files: Inputs = None,
    output: Annotated[
        str | None,
        Option("--output", "-o", metavar="DIR", help="The model folder to make."),
    ] = None,
    recipe: Annotated[
        str | None,
        Option(metavar="NAME", help="Set all that follows as a recipe does (midigen recipes)."),
    ] = None,
    minutes: Annotated[float | None, Option(metavar="X", help="Train for so long.")] = None,
    epochs: Annotated[float | None, Option(metavar="X", help="Or: so often over the data.")] = None,
    steps: Annotated[int | None, Option(metavar="N", help="Or: so many steps.")] = None,
    most_epochs: Annotated[
        float | None,
        Option(metavar="X", help="End --minutes after so many epochs of distinct pieces; 0: no."),
    ] = None,
    preset: Annotated[
        str | None, Option(metavar="NAME", help="Size: tiny, small (default) or base.")
    ] = None,
    model: Annotated[
        str | None,
        Option(metavar="SPEC", help="Model plugin and settings, as llama:width=384,layers=8."),
    ] = None,
    window: Annotated[
        int | None, Option(metavar="N", help="Tokens that the model sees at once (512).")
    ] = None,
    window_growth: Annotated[
        float | None,
        Option(metavar="P", help="Share of the run over which windows grow from an eighth (0)."),
    ] = None,
    stride: Annotated[
        int | None,
        Option(metavar="N", help="Windows that start N tokens apart, instead of packed ones."),
    ] = None,
    epoch_share: Annotated[
        float | None, Option(metavar="P", help="Share of the windows that an epoch takes (1).")
    ] = None,
    batch: Annotated[int | None, Option(metavar="N", help="Tokens a step (4096).")] = None,
    lr: Annotated[
        float | None, Option(metavar="X", help="Peak learning rate (by the model's size).")
    ] = None,
    optimizer: Annotated[
        str | None, Option(metavar="NAME", help="muon (default where it can be), adamw or adamax.")
    ] = None,
    betas: Annotated[
        str | None, Option(metavar="A,B", help="Averages of AdamW and Adamax (0.9,0.95).")
    ] = None,
    weight_decay: Annotated[
        float | None,
        Option(metavar="X", help="Of matrices (with Muon more for less data, else 0.1)."),
    ] = None,
    clip: Annotated[
        float | None, Option(metavar="X", help="Largest norm of the gradient (1); 0: any.")
    ] = None,
    label_smoothing: Annotated[
        float | None, Option(metavar="P", help="Probability spread over all ids (0).")
    ] = None,
    dropout_rise: Annotated[
        float | None,
        Option(metavar="X", help="Dropout an epoch adds where the model has none (0.005)."),
    ] = None,
    schedule: Annotated[
        str | None,
        Option(metavar="NAME", help="cosine (default), constant, exponential or plateau."),
    ] = None,
    warmup: Annotated[
        float | None, Option(metavar="X", help="Steps, or below 1 a share of the run (0.03).")
    ] = None,
    lr_min: Annotated[
        float | None, Option(metavar="X", help="What the learning rate falls to (0).")
    ] = None,
    lr_factor: Annotated[
        float | None,
        Option(metavar="X", help="Of schedule exponential an epoch, of plateau each time (0.5)."),
    ] = None,
    plateau: Annotated[
        int | None, Option(metavar="N", help="Validations without gain that a plateau allows (2).")
    ] = None,
    bpe: Annotated[
        int | None, Option(metavar="N", help="Learn N merged tokens (byte-pair encoding).")
    ] = None,
    condition: Annotated[
        str | None,
        Option(metavar="FIELDS", help="Keys of meta to condition on (genre,artist,era), or none."),
    ] = None,
    condition_least: Annotated[
        int | None,
        Option(metavar="N", help="Values of fewer training pieces are unknown (5)."),
    ] = None,
    condition_dropout: Annotated[
        str | None,
        Option(
            metavar="P[,FIELD=P...]",
            help="How often a window lacks a condition (0.1), and a single one.",
        ),
    ] = None,
    stratify: Annotated[
        str | None,
        Option(metavar="KEY", help="Give each value of this key test pieces: 10, or 15 of 100."),
    ] = None,
    infill_rate: Annotated[
        float | None,
        Option(metavar="P", help="Share of windows that teach to fill bars and tracks in (0)."),
    ] = None,
    specials: Annotated[
        str | None,
        Option(metavar="WHICH", help="auto, or none: no BOS, EOS and PAD beside the base's ids."),
    ] = None,
    evals: Annotated[
        int | None,
        Option(
            metavar="N", help="Validations over the whole run (20); at most a tenth of --minutes."
        ),
    ] = None,
    eval_tokens: Annotated[
        int | None, Option(metavar="N", help="Tokens of a validation on the way (65536).")
    ] = None,
    patience: Annotated[
        int | None,
        Option(metavar="N", help="Stop after N validations without gain (5); 0: never."),
    ] = None,
    seed: Annotated[
        int | None, Option("--seed", metavar="INT", help="Seed of every random choice.")
    ] = None,
    dtype: Annotated[
        str | None, Option(metavar="NAME", help="Products in auto, fp32 or bf16.")
    ] = None,
    save_dtype: Annotated[
        str | None, Option(metavar="NAME", help="Weights stored as fp32 (default), bf16 or fp16.")
    ] = None,
    compile: Annotated[
        bool, Option("--compile", help="Compile the model with torch.compile (needs a compiler).")
    ] = False,
    device: Device = "auto",
    shard: Annotated[
        bool, Option("--shard", help="Split the weights between processes (FSDP), with torchrun.")
    ] = False,
    store: Annotated[
        str | None,
        Option(metavar="DIR", help="Keep the token store there, or use the one there."),
    ] = None,
    tensorboard: Annotated[
        str | None, Option(metavar="DIR", help="Write the metrics for TensorBoard there, too.")
    ] = None,
    about: Annotated[
        str | None, Option(metavar="FILE", help="Text for the model's card, as its sources.")
    ] = None,
    state: Annotated[
        bool,
        Option("--state/--no-state", help="Keep what --resume needs in the finished folder."),
    ] = True,
    resume: Annotated[
        bool, Option("--resume", help="Continue the run of -o; no stream is read.")
    ] = False,
    init_from: Annotated[
        str | None,
        Option("--init-from", metavar="DIR", help="Start from the weights of a model folder."),
    ] = None,
    lora: Annotated[
        int | None,
        Option(metavar="RANK", help="Tune the model of --init-from by factors of this rank."),
    ] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Read the stream and say what would happen.")
    ] = False,
    overfit_one: Annotated[
        bool,
        Option("--overfit-one", help="Self-test: learn the first record by heart, write it again."),
    ] = False,
    tokenizer: LearnedOption = None,
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Train a model on records, and make a folder that toksample and tokeval read.

    Reads the whole stream into a token store on disk, holds a part of the pieces out, and trains.
    stdout: metrics as JSON Lines; on a terminal a table. Ctrl-C saves and stops.
    """
    from midigen.checkpoints import find
    from midigen.errors import UsageError
    from midigen.jsonl import RecordReader
    from midigen.prefixes import parse_fields, parse_specials
    from midigen.recipes import read_recipe
    from midigen.request import Request
    from midigen.settings import parse_betas, parse_dropout
    from midigen.spool import Source, is_sealed
    from midigen.tokenizers import learned
    from midigen.training import train

    learned(tokenizer)
    options = {
        "preset": preset,
        "model": model,
        "window": window,
        "window_growth": window_growth,
        "stride": stride,
        "epoch_share": epoch_share,
        "batch": batch,
        "lr": lr,
        "optimizer": optimizer,
        "lora": lora,
        "betas": None if betas is None else parse_betas(betas),
        "weight_decay": weight_decay,
        "clip": clip,
        "label_smoothing": label_smoothing,
        "dropout_rise": dropout_rise,
        "most_epochs": most_epochs,
        "schedule": schedule,
        "warmup": warmup,
        "lr_min": lr_min,
        "lr_factor": lr_factor,
        "plateau": plateau,
        "bpe": bpe,
        "condition": None if condition is None else parse_fields(condition),
        "condition_least": condition_least,
        **({} if condition_dropout is None else parse_dropout(condition_dropout)),
        "stratify": stratify,
        "infill_rate": infill_rate,
        "specials": None if specials is None else parse_specials(specials),
        "evals": evals,
        "eval_tokens": eval_tokens,
        "patience": patience,
        "seed": seed,
        "dtype": dtype,
        "save_dtype": save_dtype,
        "compile": compile or None,
    }
    plan = read_recipe(recipe) if recipe else None
    asked = dict(plan.settings) if plan else {}
    asked |= {name: value for name, value in options.items() if value is not None}
    lengths = {"minutes": minutes, "epochs": epochs, "steps": steps}
    given = {unit: amount for unit, amount in lengths.items() if amount is not None}
    if len(given) > 1:
        raise UsageError(f"--{' and --'.join(given)} exclude each other")
    for unit, amount in given.items():
        asked |= {"unit": unit, "amount": float(amount)}
    # Of the processes that torchrun starts, the first alone reads the stream.
    follows = os.environ.get("RANK", "0") != "0"
    no_stream = resume or follows or (store is not None and not files and is_sealed(Path(store)))
    if resume and files:
        raise UsageError("--resume reads no records")
    paths = [] if no_stream else run.inputs(files)
    if overfit_one:
        from midigen.selftest import check

        run.exit_code = check(asked, paths, device, run)
        return
    with run.rejects(rejects, strict) as faulty:
        reader = RecordReader(paths, faulty)
        run.exit_code = train(
            Request(
                asked,
                None if no_stream else Source(reader, faulty, run.progress),
                paths,
                Path(output) if output else None,
                Path(store) if store else None,
                resume,
                force,
                device,
                Path(about).read_text(encoding="utf-8") if about else "",
                shlex.join(["toktrain", *sys.argv[1:]]),
                state,
                dry_run,
                shard,
                find(init_from) if init_from else None,
                plan,
                Path(tensorboard) if tensorboard else None,
            ),
            run,
        )
        if faulty.total:
            run.message(faulty.summary())


main = Command(
    toktrain,
    examples=(
        Example(
            "ten minutes on augmented records",
            "tokaug --shift 6 tokens.jsonl | toktrain -o my.model --minutes 10",
        ),
        Example(
            "a whole recipe, for two minutes",
            "toktrain --recipe conditioned --minutes 2 tokens.jsonl -o c.model",
        ),
        Example("what a run would do and take", "toktrain --dry-run --epochs 5 tokens.jsonl"),
        Example(
            "can this model learn at all?",
            "toktrain --overfit-one --preset tiny --window 128 tokens.jsonl",
        ),
    ),
    is_filter=False,
    sections={
        "DATA": """\
The stream is read to its end into a token store on disk before training begins; memory does not
grow with it. Its order does not matter, and a record that comes twice counts once. --store keeps
the store in a folder of its own: the next run with that --store and no FILE reads it instead of a
stream, and a FILE that is given must hold the same records.

meta.split of a record says whether it trains, validates or tests. Without it a hash of its group
decides, 10 of 100 groups each for validation and test, so that copies and twins of a piece are
never torn apart; of few groups some are held out, of a single piece its last tenth. Copies made by
tokaug train beside their piece and are never held out. --stratify genre moves more groups from
training to the test until each genre has ten there, or 15 of 100 of its own: hashes leave a rare
one with none. The rule lies in split.json. A run that goes on from another model says how many of
its held-out pieces that model's rule would train on.""",
        "LENGTH": """\
--minutes, --epochs or --steps; without any, 20 minutes. The learning rate rises over the first 3 of
100 of the run, 300 steps at most, and falls along a cosine to its end; --schedule, --warmup,
--lr-min, --lr-factor and --plateau change that. Validation, --evals times in the run, reads whole
held-out pieces; the weights with the lowest loss are kept. After --patience validations without
gain the run ends. One of --minutes also ends after --most-epochs (40) over its distinct pieces, but
not before 1,000 steps; where pieces have fewer than three copies each, after as much less, down to
a quarter without copies.

--window-growth P, at most 0.9, begins with windows of an eighth of the length, then of a quarter
and a half, until that share of the run is behind. Short ones put more pieces into a batch and teach
faster what is near; long ones teach what comes again. A long --window gains most. Validations read
windows as long as training does; those before the full length neither end the run nor are kept.""",
        "FILLING IN": """\
--infill-rate P arranges that share of the windows so that some bars come last, with what is behind
them first and what is before them next to them, or the notes of some programs, behind all others:
so the model learns what toksample --infill and --keep-tracks ask for, beside going on as before. It
takes a tokenizer that has a token for bars; for tracks notes must say their program, as in remi. A
model of before this order keeps its own, until --init-from with --infill-rate trains it on.""",
        "FILES": """\
DIR.training holds the run until it is done and then gets the name DIR. Ctrl-C, or SIGTERM, saves
there and exits with 130; --resume -o DIR goes on from there, also after a crash. A run of --steps
or --epochs that is resumed gives the same weights, bit for bit, as one that was not stopped.

The folder holds model.safetensors and config.json (transformers opens the default model as
LlamaForCausalLM), vocab.json, split.json, metrics.jsonl, curves.png, README.md (the card), and in
training/ what --resume needs to go on with more steps; --no-state leaves that out.""",
        "OTHER WEIGHTS": """\
--init-from DIR starts from a model of midigen, whose vocabulary must be the stream's, or from a
folder of a LlamaForCausalLM with as many ids as the tokenizer. Model, merges and window are those
of DIR. Condition values that it does not know are added behind its ids. A name stands for weights
that a package brings, as "starter". --lora RANK learns a change of low rank to every matrix and
leaves the rest as it is: for little data. The model that comes out is an ordinary one.""",
        "SEVERAL PROCESSES": """\
"torchrun --standalone --nproc-per-node N -m midigen.cli.toktrain ..." trains in N processes, with a
GPU each, or on the CPU. Each takes its share of every batch; losses are those of one process. The
first reads stdin and writes the folder. --shard splits the weights, too, for models that do not fit
one GPU.""",
        "THE CPU": """\
Products are in bf16 where the processor has instructions for it, sums and weights in fp32. One with
AMX (Intel, from Sapphire Rapids on) also gets kernels of midigen's own, if there was a C compiler
when it was installed: midigen doctor says so. A run goes on to the bit only with the same number of
threads on the same machine, and the same kernels.""",
        "SELF-TEST": """\
--overfit-one is the first thing to run when training does not work. The model, as the other options
make it, learns the beginning of the first record, at most a window, until its loss is near nothing,
and writes it again greedily. Exit code 0: every token was right. The outcome goes to stdout as a
JSON object; nothing is written to disk.""",
        "METRICS": """\
A JSON object a line. event is train (loss of the step, learning rate, tokens a second), eval (the
mean training loss since the last one; val: losses in nats a token, a note and a bar, in windows of
`window` tokens) or final (the kept weights on all of validation and test, in all and for each
genre).

Of text, losses are a token and a byte, and bits_byte is bits a byte.""",
        "TEXT": """\
Records of text2tok make a language model. --bpe learns merges within words: 512 for a book, some
thousands for a large corpus. Pieces are held out as they are, so that a short book is better cut
smaller than into 64 KiB: text2tok --per 8k.""",
    },
    see_also=("toksample", "tokeval", "tokaug", "tokfilter", "text2tok", "midigen-models"),
)

if __name__ == "__main__":
    from midigen.ranks import end

    try:
        main()
    except SystemExit as stopped:
        end(stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None))
        raise
