"""The trainer contract of Entente, version 1 (docs/trainer-contract.md): the stream between agent
and trainer, and the safetensors files that they exchange.

Import this module before any library that may print: what is printed goes to the trainer's log, and
the stream carries replies only."""

import os
import sys

# A descriptor and no file object: Python would close that some time before its process ends.
REPLIES = os.dup(1)
os.dup2(2, 1)

import json
import struct

import torch

VERSION = 1
LINE_BYTES_MAX = 1 << 20


class Refusal(Exception):
    """Why a command is answered with an error."""

    def __init__(self, code, message, transient=False):
        super().__init__(message)
        self.code, self.message, self.transient = code, message, transient


class Fields:
    """The keys of a JSON object, read strictly: what is missing, of another type or left over is
    refused with `code`."""

    def __init__(self, values, path, code="contract_violated"):
        if not isinstance(values, dict):
            raise Refusal(code, f"{path or 'the line'} is not an object")
        self.values, self.path, self.code = dict(values), path, code

    def has(self, key):
        return key in self.values

    def take(self, key, kind, default=None):
        name = f"{self.path}.{key}" if self.path else key
        if key not in self.values:
            if default is None:
                raise Refusal(self.code, f"{name} is missing")
            return default
        value = self.values.pop(key)
        is_number = kind is float and type(value) is int  # 1 is as good as 1.0
        if type(value) is not kind and not is_number:
            raise Refusal(self.code, f"{name} is not a value of the kind {kind.__name__}")
        return float(value) if is_number else value

    def natural(self, key, least=0, default=None):
        value = self.take(key, int, default)
        if not least <= value < 2**64:
            raise Refusal(self.code, f"{self.path}.{key} is {value}, out of range")
        return value

    def fields(self, key, code=None):
        name = f"{self.path}.{key}" if self.path else key
        return Fields(self.take(key, dict), name, code or self.code)

    def finish(self):
        for key in self.values:
            raise Refusal(self.code, f"{self.path or 'the line'} has a key {key!r}, which this "
                          "trainer does not know")


# ---- tensors: https://github.com/huggingface/safetensors#format ----


def write_tensors(path, tensors):
    """Float32 tensors in their order, without gaps, and aligned: the header is padded."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        end = offset + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    try:
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors.values():
                file.write(tensor.detach().contiguous().float().cpu().numpy().tobytes())
    except OSError as error:
        message = f"cannot write a result: {error.strerror}"
        raise Refusal("work_folder_failed", message, transient=True) from error


def read_tensors(path):
    """Name to tensor, in whatever order they are."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        (size,) = struct.unpack_from("<Q", data)
        if size > len(data) - 8:
            raise ValueError("the header is longer than the file")
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        body = bytearray(data[8 + size :])
        tensors = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            if entry["dtype"] != "F32" or not 0 <= begin <= end <= len(body):
                raise ValueError(f"{name} is not float32 within the file")
            values = torch.empty(0)
            if end > begin:
                values = torch.frombuffer(body[begin:end], dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
        return tensors
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError,
            struct.error) as error:
        raise Refusal("tensors_invalid", f"the model file is damaged: {error}") from error


# ---- the stream ----


def error_of(refusal):
    return {"type": "error", "code": refusal.code, "message": refusal.message,
            "transient": refusal.transient}


def not_a_number(word):
    raise ValueError(f"{word} is no number")


def parse_command(line):
    """The id and type of a command, and the fields that are left of it."""
    try:
        if len(line) > LINE_BYTES_MAX + 1:
            raise ValueError("it is too long")
        command = Fields(json.loads(line, parse_constant=not_a_number), "")
    except ValueError as error:
        raise Refusal("contract_violated", f"a line is not a command: {error}") from error
    return command.natural("id"), command.take("type", str), command


def check_version(command):
    version = command.natural("contract")
    if version != VERSION:
        raise Refusal("contract_version_unsupported",
                      f"this trainer speaks version {VERSION} of the trainer contract, and was "
                      f"asked for version {version}")


def answer(work, command):
    """The result of a piece of work, or the error, as the reply's keys without its id."""
    try:
        return {"type": "result", "examples": 0, "steps": 0, "metrics": {}, **work(command)}
    except Refusal as refusal:
        return error_of(refusal)
    except MemoryError:
        return error_of(Refusal("out_of_memory", "the machine has too little memory", True))
    except Exception as error:  # whatever a library says, the trainer stays usable
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return error_of(Refusal("trainer_failed", f"{type(error).__name__}, see the trainer's log"))


def serve(make_trainer):
    """Carries out commands until `stop` or the end of the input. `make_trainer` gets a function
    that sends a reply, and returns an object with a method for each command."""
    current = 0

    def send(reply):
        line = (json.dumps({"id": current, **reply}, allow_nan=False) + "\n").encode()
        while line:
            line = line[os.write(REPLIES, line):]

    trainer = make_trainer(send)
    is_prepared = False
    while line := sys.stdin.buffer.readline(LINE_BYTES_MAX + 2):
        current = 0
        try:
            current, kind, command = parse_command(line)
            if kind not in ("prepare", "initialize", "train", "evaluate", "predict", "stop"):
                raise Refusal("contract_violated", f"type {kind!r} is not known")
            if kind == "prepare":
                check_version(command)
                is_prepared = False
            elif kind != "stop" and not is_prepared:
                raise Refusal("not_prepared", "there was no successful prepare")
        except Refusal as refusal:
            send(error_of(refusal))
            continue
        reply = answer(getattr(trainer, kind), command)
        is_prepared = is_prepared or (kind == "prepare" and reply["type"] == "result")
        send(reply)
        if kind == "stop":
            return
