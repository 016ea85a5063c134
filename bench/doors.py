"""Measures every network of models.py by every door: exports a few at a time, has the `parity` example compare them with
PyTorch, deletes the exports, and prints the table of docs/MODELS.md.

    cargo build --release -p voxplain-tests --example parity
    python bench/doors.py --parity target/release/examples/parity --out FOLDER            everything
    python bench/doors.py --parity ... --out FOLDER --door dynamo --again resnet50 vgg11_bn   some of it once more
    python bench/doors.py --out FOLDER --table                                          the table of what was measured

Every row is kept in FOLDER/NAME.DOOR.row as soon as it is measured, so that a run that was stopped goes on.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DOORS = {
    "pt2": [],
    "dynamo": ["--onnx", "dynamo"],
    "dynamo-external": ["--onnx", "dynamo", "--external"],
    "torchscript": ["--onnx", "torchscript"],
}
HEAD = [
    "network", "door", "nodes", "weights (M)", "output", "peer", "gradient", "peer", "gradient in double precision",
    "DeepLift", "IG", "",
]  # fmt: skip


def measure(names, door, arguments):
    """One row for each of these networks."""
    folder = arguments.out / "exports"
    shutil.rmtree(folder, ignore_errors=True)
    make = [sys.executable, str(HERE / "models.py"), "--out", str(folder), *DOORS[door], *names]
    said = subprocess.run(make, capture_output=True, text=True).stdout
    rows = compare(folder, arguments)
    if door != "pt2":
        for name in [n for n in names if "differs" in rows.get(n, "") and "refused" not in rows[n]]:
            rows[name] = against_exported(folder, name, rows[name], arguments)
    shutil.rmtree(folder, ignore_errors=True)
    for name in names:
        row = rows.get(name) or refusal(name, said)
        (arguments.out / f"{name}.{door}.row").write_text(row + "\n")
        print(f"| {name} | {door} | {row}", flush=True)


def compare(folder, arguments):
    """What the example says of the files of a folder, by network."""
    said = subprocess.run([arguments.parity, str(folder)], capture_output=True, text=True).stdout
    return dict(re.findall(r"^\| (\w+) \| \w+ \| (.*)$", said, re.M))


def against_exported(folder, name, row, arguments):
    """A row that differs, once more against the weights that the exporter merged and rounded (see merged.py)."""
    alone = folder / "alone"
    alone.mkdir()
    for path in folder.glob(f"{name}.*"):
        path.rename(alone / path.name)
    run = [sys.executable, str(HERE / "merged.py"), "--write", str(alone / f"{name}.onnx")]
    flips = re.findall(r"(\d+) of \d+ rectifiers", subprocess.run(run, capture_output=True, text=True).stdout)
    again = compare(alone, arguments).get(name, "differs")
    shutil.rmtree(alone)
    if not flips or "differs" in again:
        return row
    cells, exact = row.replace("**differs**", "").split(" | "), again.split(" | ")
    cells[6] = exact[6].strip() or exact[4]
    moved = sum(map(int, flips))
    cells[9] = f"{cells[9].strip(' |')}, against the exported weights: {moved} rectifier(s) of the merged ones stand elsewhere |"
    return " | ".join(cells)


def refusal(name, said):
    """The last line of the exporter's complaint."""
    part = said.partition(f"{name}: FAILED\n")[2].partition("FAILED\n")[0]
    lines = [line for line in part.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return f"not exported: {lines[0][:200] if lines else 'the exporter was stopped'}"


def table(arguments, names):
    """The rows of all networks and doors; those without one are missing, and are said to be."""
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for name in names:
        for door in DOORS:
            path = arguments.out / f"{name}.{door}.row"
            if path.exists():
                # The exporter's first sentence, without where its code lies.
                text = re.sub(r"^(not exported: )(?:[\w.]+: )?(.*?)(?:\. .*)?$", r"\1\2", path.read_text().strip())
                cells = text.split(" | ")
                # The time of reading is this machine's affair.
                row = [*cells[:9], cells[9].partition(" s")[2].strip(", |*")] if len(cells) > 9 else cells
                print(f"| {name} | {door} | {' | '.join(row)} |")
            elif door != "dynamo-external":
                print(f"| {name} | {door} | not measured |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the networks; all without names")
    parser.add_argument("--out", type=Path, required=True, help="the folder for rows and, in between, exports")
    parser.add_argument("--parity", help="the built example of that name")
    parser.add_argument("--door", choices=DOORS, action="append", help="only this door; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure what has a row, too")
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    parser.add_argument("--batch", type=int, default=5, help="networks whose exports lie on the disk together")
    arguments = parser.parse_args()
    listed = subprocess.run([sys.executable, str(HERE / "models.py"), "--list"], capture_output=True, text=True)
    names = arguments.names or listed.stdout.split()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.table:
        table(arguments, sorted(names))
        return
    for door in arguments.door or ["pt2", "dynamo", "torchscript"]:
        open_ = [n for n in names if arguments.again or not (arguments.out / f"{n}.{door}.row").exists()]
        for at in range(0, len(open_), arguments.batch):
            measure(open_[at : at + arguments.batch], door, arguments)


if __name__ == "__main__":
    main()
