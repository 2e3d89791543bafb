#!/usr/bin/python3
"""A trainer of a site's own, in Python: README.md says what it can do and how a site uses it.

Needs Debian's python3-torch and no other package. It refuses whatever it does not have, so that it
never trains something else than what was asked for."""

import sys

sys.dont_write_bytecode = True  # this folder may belong to somebody else

import contract  # first: it keeps the stream free of what libraries print
from contract import Fields, Refusal
from datasets import Dataset

import math
import time

import torch
from torch import nn

PROGRESS_SECONDS = 0.2
EVALUATION_BATCH = 256
CONFUSION_CLASSES_MAX = 32  # a matrix is kept of so many classes,
COUNTED_CLASSES_MAX = 2048  # and counts by class of so many
SCORE_BINS = 2048


def build_layer(kind, shape, attributes):
    """A module for a layer that gets examples of this shape. Attributes have torch's names."""

    def whole(key, default=None):
        return attributes.natural(key, 0, default)

    if kind == "flatten":
        return nn.Flatten()
    if kind == "linear" and len(shape) == 1:
        if whole("in_features", shape[0]) != shape[0]:
            raise Refusal("model_invalid", f"a linear layer gets {shape[0]} features")
        return nn.Linear(shape[0], whole("out_features"), attributes.take("bias", bool, True))
    if kind == "conv2d" and len(shape) == 3:
        if whole("in_channels", shape[0]) != shape[0]:
            raise Refusal("model_invalid", f"a conv2d layer gets {shape[0]} channels")
        return nn.Conv2d(shape[0], whole("out_channels"), whole("kernel_size"), whole("stride", 1),
                         whole("padding", 0), bias=attributes.take("bias", bool, True))
    if kind in ("max_pool2d", "avg_pool2d") and len(shape) == 3:
        size = whole("kernel_size")
        pool = nn.MaxPool2d if kind == "max_pool2d" else nn.AvgPool2d
        return pool(size, whole("stride", size), whole("padding", 0))
    if kind == "dropout":
        return nn.Dropout(attributes.take("p", float, 0.5))
    plain = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU,
             "silu": nn.SiLU}
    if kind in plain:
        return plain[kind]()
    raise Refusal("model_invalid",
                  f"this trainer has no layer {kind!r} for examples of shape {shape}")


def build_model(spec):
    """A module whose parameters are named as the contract wants them, with the shape that it takes
    and the number of values that it gives. Random values come from torch's generator."""
    shape, model, seen = spec.take("input", list), nn.Sequential(), {}
    model_input = list(shape)
    for index, entry in enumerate(spec.take("layers", list)):
        layer = Fields(entry, f"layer {index + 1}", "model_invalid")
        kind, name = layer.take("type", str), layer.take("name", str)
        seen[kind] = seen.get(kind, 0) + 1
        try:
            module = build_layer(kind, shape, layer)
            layer.finish()
            model.add_module(name or f"{kind}{seen[kind]}", module)
            with torch.no_grad():
                shape = list(module.eval()(torch.zeros(1, *shape)).shape[1:])
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise Refusal("model_invalid", f"layer {index + 1} {kind!r}: {error}") from error
    spec.finish()
    if len(shape) != 1 or not list(model.parameters()):
        raise Refusal("model_invalid",
                      f"the model gives examples of shape {shape}, or has nothing to train")
    return model, model_input, shape[0]


def make_optimizer(spec, parameters):
    kind, lr = spec.take("type", str), spec.take("lr", float)
    momentum, decay = spec.take("momentum", float), spec.take("weight_decay", float)
    if kind == "sgd":
        options = {"momentum": momentum, "nesterov": spec.take("nesterov", bool, False)}
        optimizer = torch.optim.SGD
    elif kind in ("adam", "adamw") and momentum == 0:
        options = {"betas": (spec.take("beta1", float, 0.9), spec.take("beta2", float, 0.999)),
                   "eps": spec.take("eps", float, 1e-8),
                   "amsgrad": spec.take("amsgrad", bool, False)}
        optimizer = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    else:
        raise Refusal("optimizer_unknown",
                      f"this trainer has no optimizer {kind!r} with these options")
    spec.finish()
    try:
        return optimizer(parameters, lr=lr, weight_decay=decay, **options)
    except ValueError as error:
        raise Refusal("job_invalid", f"the optimizer: {error}") from error


class Training:
    """`train` of a job: what this trainer has of it."""

    def __init__(self, spec):
        self.dataset = spec.take("dataset", str)
        self.epochs, self.batch = spec.natural("local_epochs", 1), spec.natural("batch_size", 1)
        self.loss, self.optimizer = spec.take("loss", str), spec.take("optimizer", dict)
        self.class_weights = spec.take("class_weights", list, [])
        self.clip_norm = spec.take("clip_norm", float, 0.0)
        self.clip_value = spec.take("clip_value", float, 0.0)
        if self.loss not in ("cross_entropy", "mse", "l1"):
            raise Refusal("job_invalid", f"this trainer has no loss {self.loss!r}")
        spec.finish()  # a schedule, say, which this trainer does not have

    def make_optimizer(self, parameters):
        return make_optimizer(Fields(self.optimizer, "train.optimizer", "job_invalid"), parameters)

    def weight_of(self, answers):
        """What these examples weigh in the mean of their losses."""
        if not self.class_weights:
            return float(len(answers))
        return float(torch.tensor(self.class_weights, device=answers.device)[answers].sum())

    def mean_loss(self, outputs, answers):
        if (self.loss == "cross_entropy") != (answers.dim() == 1):
            raise Refusal("data_contract_violated",
                          f"the loss {self.loss} does not fit what the data answers")
        if self.loss == "cross_entropy":
            weights = None
            if self.class_weights:
                weights = torch.tensor(self.class_weights, device=outputs.device).float()
            return nn.functional.cross_entropy(outputs, answers, weights)
        mean = nn.functional.mse_loss if self.loss == "mse" else nn.functional.l1_loss
        return mean(outputs, answers)

    def clip(self, parameters):
        if self.clip_value > 0:
            nn.utils.clip_grad_value_(parameters, self.clip_value)
        if self.clip_norm > 0:
            nn.utils.clip_grad_norm_(parameters, self.clip_norm)


class Tally:
    """Sums over the examples that it is shown, which add up with those of other sites (docs/models.md),
    and the metrics that follow from them."""

    def __init__(self):
        self.sums = {}

    def put(self, name, values):
        """Adds a tensor, or a number, to the sum of that name."""
        here = torch.as_tensor(values, dtype=torch.float64).cpu().reshape(-1)
        self.sums[name] = self.sums[name] + here if name in self.sums else here

    def add(self, loss, weight, outputs, answers):
        """`loss` is the mean over these examples, and `weight` what they weigh in it together."""
        self.put("count", len(answers))
        self.put("loss", loss * weight)
        self.put("loss_weight", weight)
        if not math.isfinite(loss):
            return
        if answers.dim() == 1:
            self.add_classes(outputs, answers)
        else:
            difference = (outputs - answers).double()
            self.put("absolute_error", difference.abs().sum(0))
            self.put("squared_error", (difference**2).sum(0))
            self.put("target", answers.double().sum(0))
            self.put("target_squared", (answers.double() ** 2).sum(0))

    def add_classes(self, outputs, answers):
        classes, said = outputs.shape[1], outputs.argmax(1)
        if classes > COUNTED_CLASSES_MAX:
            self.put("correct", (said == answers).sum())
            return
        if classes > CONFUSION_CLASSES_MAX:
            self.put("hits", torch.bincount(answers[said == answers], minlength=classes))
            self.put("said", torch.bincount(said, minlength=classes))
            self.put("true", torch.bincount(answers, minlength=classes))
            return
        self.put("confusion", torch.bincount(answers * classes + said, minlength=classes**2))
        if classes == 2:
            score = (outputs[:, 1] - outputs[:, 0]).double()
            place = (1 + score / (1 + score.abs())) / 2 * SCORE_BINS
            bins = place.floor().clamp(0, SCORE_BINS - 1).long()
            self.put("scores", torch.bincount(answers * SCORE_BINS + bins, minlength=2 * SCORE_BINS))

    def metrics(self):
        count, found = float(self.sums["count"]), {}
        found["loss"] = float(self.sums["loss"]) / float(self.sums["loss_weight"])
        if "confusion" in self.sums:
            classes = math.isqrt(len(self.sums["confusion"]))
            right = self.sums["confusion"].reshape(classes, classes).trace()
            found["accuracy"] = float(right) / count
        for right in ("correct", "hits"):
            if right in self.sums:
                found["accuracy"] = float(self.sums[right].sum()) / count
        if "absolute_error" in self.sums:
            found["mae"] = float(self.sums["absolute_error"].mean()) / count
            found["mse"] = float(self.sums["squared_error"].mean()) / count
        return found

    def as_lists(self):
        return {name: values.tolist() for name, values in self.sums.items()}


class Progress:
    """At once when work begins, then at most five times a second."""

    def __init__(self, send, total):
        self.send, self.total, self.done, self.said_at = send, total, 0, -math.inf
        self.add(0)

    def add(self, count):
        self.done += count
        if time.monotonic() - self.said_at >= PROGRESS_SECONDS:
            self.said_at = time.monotonic()
            self.send({"type": "progress", "done": self.done, "total": self.total,
                       "unit": "examples"})


class Trainer:
    def __init__(self, send):
        self.send = send

    def prepare(self, command):
        job = command.fields("job")
        if job.has("statistics"):
            raise Refusal("job_invalid", "this trainer counts no statistics; for jobs of that kind "
                          "use the built-in one")
        torch.set_num_threads(command.natural("threads", 1))
        device = command.take("device", str)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device != "cpu" and not torch.cuda.is_available():
            raise Refusal("device_unavailable", f"there is no device {device} here")
        self.device = torch.device(device)
        self.loss_before = command.take("loss_before", bool, False)
        self.layers = job.take("model", dict)
        self.training = Training(job.fields("train", "job_invalid"))
        if job.has("evaluate"):
            evaluate = job.fields("evaluate")
            evaluate.take("dataset", str)
            evaluate.finish()
        job.finish()
        self.model, self.model_input, outputs = self.build()
        self.training.make_optimizer(self.model.parameters())  # to see that there is one

        def load(key):
            return Dataset(command.fields(key), self.model_input, outputs, self.device)

        self.data = load("train_dataset")
        self.evaluation = load("evaluate_dataset") if command.has("evaluate_dataset") else None
        command.finish()
        return {"examples": len(self.data)}

    def build(self):
        model, model_input, outputs = build_model(Fields(self.layers, "model", "model_invalid"))
        return model.to(self.device), model_input, outputs

    def initialize(self, command):
        seed, output = command.natural("seed"), command.take("output", str)
        command.finish()
        torch.manual_seed(seed)
        model, _, _ = self.build()
        contract.write_tensors(output, dict(model.named_parameters()))
        return {}

    def load_model(self, path):
        tensors = contract.read_tensors(path)
        parameters = dict(self.model.named_parameters())
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != {name: parameter.shape for name, parameter in parameters.items()}:
            raise Refusal("layout_mismatch", "the model file holds the tensors of another model")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[name])
        return {name: parameter.detach().clone() for name, parameter in parameters.items()}

    def train(self, command):
        command.natural("round", 1)
        seed = command.natural("seed")
        steps = command.natural("steps", 1) if command.has("steps") else 0
        model, output = command.take("model", str), command.take("output", str)
        command.finish()
        before = self.load_model(model)
        torch.manual_seed(seed)
        training, size = self.training, len(self.data)
        steps_per_epoch = math.ceil(size / training.batch)
        steps = steps or training.epochs * steps_per_epoch
        progress = Progress(self.send, math.ceil(size * steps / steps_per_epoch))
        metrics = {}
        if self.loss_before:
            metrics["loss_before"] = self.tally(self.data, progress=None).metrics()["loss"]
        parameters = list(self.model.parameters())
        optimizer = training.make_optimizer(parameters)
        self.model.train()
        tally = Tally()
        for step in range(steps):
            place = step % steps_per_epoch
            if place == 0:
                order = torch.randperm(size).to(self.device)
            batch = order[place * training.batch : (place + 1) * training.batch]
            outputs, answers = self.model(self.data.inputs[batch]), self.data.answers[batch]
            loss = training.mean_loss(outputs, answers)
            if not math.isfinite(float(loss)):
                raise self.diverged(step)
            optimizer.zero_grad()
            loss.backward()
            training.clip(parameters)
            optimizer.step()
            if step >= steps - steps_per_epoch:  # the last epoch, or as many of the last steps
                tally.add(float(loss), training.weight_of(answers), outputs.detach(), answers)
            progress.add(len(batch))
        update = {name: p.detach() - before[name] for name, p in self.model.named_parameters()}
        if not all(bool(torch.isfinite(change).all()) for change in update.values()):
            raise self.diverged(steps)
        contract.write_tensors(output, update)
        used = size if steps >= steps_per_epoch else steps * training.batch
        return {"examples": min(used, size), "steps": steps,
                "metrics": {**tally.metrics(), **metrics}}

    @staticmethod
    def diverged(step):
        return Refusal("training_diverged",
                       f"the loss stopped being a finite number after {step} steps: lower "
                       "train.optimizer.lr, to a tenth for a start")

    def tally(self, data, progress):
        self.model.eval()
        tally = Tally()
        with torch.no_grad():
            for first in range(0, len(data), EVALUATION_BATCH):
                inputs = data.inputs[first : first + EVALUATION_BATCH]
                answers = data.answers[first : first + EVALUATION_BATCH]
                outputs = self.model(inputs)
                loss = float(self.training.mean_loss(outputs, answers))
                tally.add(loss, self.training.weight_of(answers), outputs, answers)
                if progress:
                    progress.add(len(answers))
        return tally

    def evaluate(self, command):
        model = command.take("model", str)
        command.finish()
        if self.evaluation is None:
            raise Refusal("evaluation_dataset_missing",
                          "the job was prepared without an evaluation dataset")
        self.load_model(model)
        tally = self.tally(self.evaluation, Progress(self.send, len(self.evaluation)))
        metrics = tally.metrics()
        if not math.isfinite(metrics["loss"]):
            raise Refusal("evaluation_not_finite", "the model's loss is not a finite number")
        return {"examples": len(self.evaluation), "metrics": metrics, "sums": tally.as_lists()}

    def predict(self, command):
        model, output = command.take("model", str), command.take("output", str)
        path, own = command.take("inputs", str), command.take("own", str, "")
        command.finish()
        self.load_model(model)
        self.lay_over(own)
        tensors = contract.read_tensors(path)
        inputs = tensors.get("inputs")
        if len(tensors) != 1 or inputs is None or list(inputs.shape[1:]) != self.model_input:
            raise Refusal("inputs_invalid", "the inputs are a file with the one tensor 'inputs', "
                          f"rows of {self.model_input}")
        progress, rows = Progress(self.send, len(inputs)), []
        self.model.eval()
        with torch.no_grad():
            for batch in inputs.split(EVALUATION_BATCH):
                outputs = self.model(batch.to(self.device))
                if self.training.loss == "cross_entropy":
                    outputs = outputs.softmax(1)  # probabilities, not scores
                rows.append(outputs.cpu())
                progress.add(len(batch))
        outputs = torch.cat(rows)
        if not bool(torch.isfinite(outputs).all()):
            raise Refusal("prediction_not_finite", "the model's outputs are not finite numbers for "
                          "some of the inputs")
        contract.write_tensors(output, {"outputs": outputs})
        return {"examples": len(self.data)}

    def lay_over(self, path):
        """What another job has left at this site, in the places of the model's tensors."""
        if not path:
            return
        own, fits = contract.read_tensors(path), False
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                for key in (name, name + ":personal"):
                    if key in own and own[key].shape == parameter.shape:
                        parameter.copy_(own[key])
                        fits = True
        if not fits:
            raise Refusal("own_mismatch", "what the job has left at this site has no tensor of "
                          "this job's model")

    def stop(self, command):
        command.finish()
        return {}


if __name__ == "__main__":
    contract.serve(Trainer)
