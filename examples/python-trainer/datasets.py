"""A site's datasets of the kinds "idx" and "csv" (docs/datasets.md), as tensors in memory.

What this module does not read is refused. A refusal names files, columns and lines, never a value,
since it may reach a coordinator."""

import csv
import gzip
import io
import math
import os
import re
import struct

import torch

from contract import Refusal


# As docs/datasets.md has them: not all that Python takes for a number ("nan", "1_000") is one.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def open_file(path):
    """Plain or gzip, as its first bytes say."""
    file = open(path, "rb")
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.open(file) if is_gzip else file


def read_idx(path):
    with open_file(path) as file:
        data = file.read()
    zeros, kind, dimensions = struct.unpack_from(">HBB", data)
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    values = torch.frombuffer(bytearray(data[4 + 4 * dimensions :]), dtype=torch.uint8)
    if zeros != 0 or kind != 0x08 or values.numel() != math.prod(shape):
        raise Refusal("dataset_invalid", f"{os.path.basename(path)} is not an IDX file of bytes")
    return values.reshape(shape)


def read_idx_dataset(source):
    images, labels = read_idx(source.take("images", str)), read_idx(source.take("labels", str))
    if labels.dim() != 1 or len(images) != len(labels):
        raise Refusal("dataset_invalid",
                      f"{len(images)} images have labels of the shape {list(labels.shape)}")
    if images.dim() == 3:
        images = images.unsqueeze(1)  # grey: one channel
    return images.float() / 255, labels.long()


def standardised(values, names, wanted):
    """Mean 0 and deviation 1 of the columns that are named, as the built-in trainer does it."""
    for index, name in enumerate(names):
        if "*" in wanted or name in wanted:
            column = values[:, index].double()
            deviation = column.std(unbiased=False)
            centred = column - column.mean()
            values[:, index] = (centred / deviation if deviation > 0 else centred).float()
    return values


def read_csv_dataset(source, class_names):
    path = source.take("file", str)
    delimiter, has_header = source.take("delimiter", str), source.take("header", bool)
    features, text = source.take("features", list, []), source.take("text", str, "")
    label, targets = source.take("label", str, ""), source.take("targets", list, [])
    wanted = source.take("standardise", list, [])
    source.take("missing_words", list, [])
    if text or not features or source.take("missing", str, "refuse") != "refuse":
        raise Refusal("dataset_invalid",
                      "this trainer reads features that are numbers, and fills in none")
    with open_file(path) as file:
        text_file = io.TextIOWrapper(file, encoding="utf-8", newline="")
        rows = list(csv.reader(text_file, delimiter=delimiter))
    width = len(rows[0]) if rows else 0
    names = rows.pop(0) if has_header and rows else [str(i + 1) for i in range(width)]
    names = [name.strip() for name in names]
    for name in features + targets + ([label] if label else []):
        if name not in names:
            raise Refusal("dataset_invalid", "a column that agent.toml names is not in the file")

    def number(row, line, name):
        cell = row[names.index(name)].strip() if len(row) == len(names) else ""
        if name == label and class_names:
            cell = str(class_names.index(cell)) if cell in class_names else ""
        value = float(cell) if NUMBER.fullmatch(cell) else math.nan
        if not math.isfinite(value) or (name == label and value != int(value)):
            # The value itself stays in the house.
            raise Refusal("dataset_invalid", f"line {line}: column {name!r} has no usable value")
        return value

    lines = list(enumerate(rows, 2 if has_header else 1))

    def columns(chosen):
        return [[number(row, line, name) for name in chosen] for line, row in lines]

    inputs = torch.tensor(columns(features), dtype=torch.float32)
    inputs = inputs.reshape(len(rows), len(features))
    inputs = standardised(inputs, features, wanted)
    if targets:
        return inputs, torch.tensor(columns(targets), dtype=torch.float32)
    return inputs, torch.tensor(columns([label]), dtype=torch.float64).reshape(-1).long()


class Dataset:
    """A site's examples, in memory: `inputs`, and `answers`, classes or numbers to predict."""

    def __init__(self, source, model_input, outputs, device):
        self.name, kind = source.take("name", str), source.take("kind", str)
        classes, class_names = source.take("classes", int), source.take("class_names", list, [])
        for key in ("partition", "holdout"):
            if source.has(key):
                raise Refusal("dataset_invalid",
                              f"this trainer makes no {key}; give it files of their own")
        try:
            if kind == "idx":
                inputs, answers = read_idx_dataset(source)
            elif kind == "csv":
                inputs, answers = read_csv_dataset(source, class_names)
            else:
                raise Refusal("dataset_invalid", f"this trainer does not read the kind {kind!r}")
        except FileNotFoundError as error:
            raise Refusal("dataset_missing",
                          f"cannot open {os.path.basename(error.filename)}") from error
        except (OSError, EOFError, UnicodeDecodeError, csv.Error, struct.error) as error:
            message = f"dataset {self.name} cannot be read: {type(error).__name__}"
            raise Refusal("dataset_invalid", message) from error
        source.finish()
        self.check(inputs, answers, classes or len(class_names), model_input, outputs)
        self.inputs, self.answers = inputs.to(device), answers.to(device)

    def check(self, inputs, answers, classes, model_input, outputs):
        """The data contract: whether the data fits the model."""
        problem = None
        if len(inputs) == 0:
            problem = "has no examples"
        elif list(inputs.shape[1:]) != model_input:
            problem = (f"has examples of shape {list(inputs.shape[1:])}, and the model takes "
                       f"{model_input}")
        elif answers.dim() == 2 and answers.shape[1] != outputs:
            problem = f"has {answers.shape[1]} numbers to predict, and the model gives {outputs}"
        elif answers.dim() == 1:
            classes = classes or int(answers.max()) + 1
            if int(answers.min()) < 0 or int(answers.max()) >= classes:
                problem = f"has labels that are not from 0 to {classes - 1}"
            elif classes != outputs:
                problem = f"has {classes} classes, and the model gives {outputs} values"
        if problem:
            raise Refusal("data_contract_violated", f"dataset {self.name} {problem}")

    def __len__(self):
        return len(self.inputs)
