"""Trains the versions of the model `digits` that the lab serves.

Usage: train.py OUT_DIR INPUTS_HASH [GIT_COMMIT]

Writes one artifact per version, what scikit-learn predicts with it on the holdout, the ModelVersion manifests, the
holdout as requests, and `models.json`, the index of all of it. The README beside this file describes the formats.
Each version that is to be rolled back is bad for a cause that happens in practice; the cause is in its card.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONHASHSEED="0")

import datetime
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

MODEL = "digits"
FORMAT = "digits-json-v1"
SCALE = 16.0
HOLDOUT = 600
# Share of the holdout that 1.3.0 sends to its second stage, and that 1.4.0 refuses.
SECOND_STAGE_SHARE = 0.10
REFUSED_SHARE = 0.03


class Data:
    """The digits of scikit-learn, split once for all versions."""

    def __init__(self):
        images, labels = load_digits(return_X_y=True)
        self.digest = sha256(images.tobytes() + labels.tobytes())
        split = train_test_split(images, labels, test_size=HOLDOUT, random_state=7, stratify=labels)
        self.train, self.holdout, self.train_labels, self.holdout_labels = split


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def softmax_regression(data, labels, strength):
    fitted = LogisticRegression(C=strength, max_iter=5000).fit(data.train / SCALE, labels)
    layers = [{"activation": "softmax", "weights": fitted.coef_.tolist(), "bias": fitted.intercept_.tolist()}]
    return fitted, layers, {"estimator": "LogisticRegression", "C": strength, "solver": "lbfgs"}


def perceptron(data, seed):
    fitted = MLPClassifier((64,), alpha=0.01, max_iter=1500, random_state=seed).fit(data.train / SCALE, data.train_labels)
    layers = [
        {"activation": activation, "weights": weights.T.tolist(), "bias": bias.tolist()}
        for activation, weights, bias in zip(["relu", "softmax"], fitted.coefs_, fitted.intercepts_)
    ]
    return fitted, layers, {"estimator": "MLPClassifier", "hidden": 64, "alpha": 0.01, "solver": "adam", "seed": seed}


def corrupted(labels, share, seed):
    """Labels of which `share` was overwritten with random digits, as a broken join of images and labels does."""
    random = np.random.default_rng(seed)
    labels = labels.copy()
    hit = random.random(len(labels)) < share
    labels[hit] = random.integers(0, 10, hit.sum())
    return labels


def ink(images):
    return images.sum(axis=1)


def range_seen(data, share):
    """The range of ink outside of which `share` of all images lies, half below and half above.

    What a preprocessing step records that clips the outliers from its training data before it notes the range.
    """
    low, high = np.quantile(ink(np.vstack([data.train, data.holdout])), [share / 2, 1 - share / 2])
    candidates = [(low + a, high + b) for a in range(-12, 13) for b in range(-12, 13)]
    drawn = ink(data.holdout)
    off = [abs(((drawn < a) | (drawn > b)).mean() - share) + 1e-6 * (abs(a - low) + abs(b - high)) for a, b in candidates]
    best = candidates[int(np.argmin(off))]
    return {"statistic": "ink", "min": float(best[0]), "max": float(best[1])}


def swapped_range(data):
    """The same step with the two quantiles swapped by mistake: only images with hardly any ink pass."""
    low, high = np.quantile(ink(data.train), [0.0, 0.05])
    return {"statistic": "ink", "min": float(low), "max": float(high)}


def cascade(data, fitted):
    """A second stage for uncertain images: neighbours looked up in a remote store of labelled images."""
    ordered = np.sort(margins(fitted.predict_proba(data.holdout / SCALE)))
    at = round(SECOND_STAGE_SHARE * HOLDOUT)
    return {
        "margin": float((ordered[at - 1] + ordered[at]) / 2),
        "lookupMillis": 60,
        "neighbours": 3,
        "images": data.train.astype(int).tolist(),
        "labels": data.train_labels.tolist(),
    }


def margins(probabilities):
    ordered = np.sort(probabilities, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def predict(data, fitted, artifact):
    """What the version answers on the holdout: scores, whether it refuses, whether its second stage runs."""
    scores = fitted.predict_proba(data.holdout / SCALE)
    second = np.zeros(HOLDOUT, dtype=bool)
    if stage := artifact["cascade"]:
        second = margins(scores) < stage["margin"]
        knn = KNeighborsClassifier(stage["neighbours"], algorithm="brute").fit(data.train, data.train_labels)
        scores[second] = knn.predict_proba(data.holdout[second])
    refused = np.zeros(HOLDOUT, dtype=bool)
    if accepts := artifact["accepts"]:
        drawn = ink(data.holdout)
        refused = (drawn < accepts["min"]) | (drawn > accepts["max"])
    return scores, refused, second


def versions(data):
    """Every version as (version, summary, limitations, estimator, layers, hyperparameters, extra fields of the artifact)."""
    good = softmax_regression(data, data.train_labels, 0.05)
    better, again = perceptron(data, 1), perceptron(data, 2)
    noisy = corrupted(data.train_labels, 0.4, 3)
    wrong = softmax_regression(data, noisy, 100.0)
    yield "1.0.0", "good", "A linear model; confuses 8 with 1.", *good, {}
    yield "1.1.0", "better", "None known.", *better, {}
    cause = "Trained after a broken join gave 40 % of the images a random label."
    yield "1.2.0", "fast, HTTP 200, but wrong more often", cause, *wrong, {}
    cause = "Looks up neighbours in a remote store for uncertain images, which takes 60 ms."
    yield "1.3.0", "accurate, slow at the tail", cause, *better, {"cascade": cascade(data, better[0])}
    cause = "Its preprocessing raises an error for images with less or more ink than it saw in cleaned training data."
    yield "1.4.0", "fails 3 % of requests", cause, *better, {"accepts": range_seen(data, REFUSED_SHARE)}
    cause = "Its calibration iterates until the change is below 0, which never happens, and has no limit of iterations."
    solver = {"tolerance": 0.0, "maxIterations": None, "iterationMillis": 5000}
    yield "1.5.0", "accepts requests and never answers", cause, *better, {"solver": solver}
    yield "1.6.0", "as good as 1.1.0, other seed", "None known.", *again, {}
    cause = "The upper bound of its input range is the 5 % quantile instead of the 95 % quantile."
    yield "1.7.0", "fails nearly every request", cause, *again, {"accepts": swapped_range(data)}
    cause = "The file was changed after its digest was registered; the server refuses to load it."
    yield "1.8.0", "its file is not what was registered", cause, *again, {}


def evaluation(data, scores, refused):
    """Metrics over what is answered, with one slice for each digit."""
    truth, digits = data.holdout_labels, scores.argmax(axis=1)
    answered = ~refused
    metrics = {
        "accuracy": accuracy_score(truth[answered], digits[answered]),
        "macroF1": f1_score(truth[answered], digits[answered], average="macro"),
        "answered": answered.mean(),
    }
    slices = []
    for digit in range(10):
        of = answered & (truth == digit)
        if of.any():
            slices.append({"name": f"digit-{digit}", "metrics": {"accuracy": rounded((digits[of] == digit).mean())}})
    return {name: rounded(value) for name, value in metrics.items()}, slices


def rounded(value):
    return round(float(value), 4)


def latency_estimate(data, fitted, artifact, second):
    """p50 and p99 of one prediction in milliseconds: the first stage measured here, the look-ups as configured."""
    images = data.holdout[:200] / SCALE
    taken = []
    for image in images:
        start = time.perf_counter()
        fitted.predict_proba(image.reshape(1, -1))
        taken.append(1000 * (time.perf_counter() - start))
    wait = artifact["cascade"]["lookupMillis"] * second[: len(taken)] if artifact["cascade"] else 0.0
    p50, p99 = np.quantile(np.array(taken) + wait, [0.5, 0.99])
    return {"latencyP50Millis": rounded(p50), "latencyP99Millis": rounded(p99)}


def manifest(entry, artifact_path, provenance, evaluations):
    uri = artifact_path.as_uri()
    return {
        "apiVersion": "understudy.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{MODEL}-{entry['version']}"},
        "spec": {
            "model": MODEL,
            "version": entry["version"],
            "weights": {"artifact": {"uri": uri, "digest": entry["digest"], "sizeBytes": entry["sizeBytes"], "format": FORMAT}},
            "parameters": {"inputMax": int(SCALE)},
            "interface": {
                "input": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "array", "items": {"type": "number"}, "minItems": 64, "maxItems": 64},
                        "id": {"type": "string"},
                    },
                },
                "output": {
                    "type": "object",
                    "required": ["digit", "scores"],
                    "properties": {
                        "digit": {"type": "integer", "minimum": 0, "maximum": 9},
                        "scores": {"type": "array", "items": {"type": "number"}},
                    },
                },
            },
            "serving": {
                "container": "server",
                "env": [
                    {"name": "MODEL_URI", "value": uri},
                    {"name": "MODEL_DIGEST", "value": entry["digest"]},
                    {"name": "MODEL_VERSION", "value": entry["version"]},
                ],
            },
            "provenance": provenance,
            "card": {
                "owner": "lab",
                "intendedUse": "Recognises one handwritten digit in an 8 x 8 image.",
                "limitations": entry["limitations"],
                "license": "Apache-2.0",
            },
            "evaluations": evaluations,
        },
    }


def write(path, text):
    path.write_text(text, encoding="utf-8")


def build(out, run, commit, data, item):
    version, summary, limitations, fitted, layers, hyperparameters, extra = item
    artifact = {"format": FORMAT, "model": MODEL, "version": version, "scale": SCALE, "layers": layers}
    artifact |= {"accepts": None, "cascade": None, "solver": None} | extra
    scores, refused, second = predict(data, fitted, artifact)
    content = json.dumps(artifact, sort_keys=True)
    digest = sha256(content.encode())
    if version == "1.8.0":
        artifact["layers"][-1]["bias"][0] += 1.0
        content = json.dumps(artifact, sort_keys=True)
    path = out / f"{MODEL}-{version}.json"
    write(path, content)
    expected = {
        "digits": scores.argmax(axis=1).tolist(),
        "scores": scores.tolist(),
        "refused": refused.tolist(),
        "secondStage": second.tolist(),
    }
    write(out / f"{MODEL}-{version}.expected.json", json.dumps(expected))
    metrics, slices = evaluation(data, scores, refused)
    metrics |= latency_estimate(data, fitted, artifact, second)
    entry = {
        "version": version, "summary": summary, "limitations": limitations, "artifact": path.name, "digest": digest,
        "sizeBytes": len(content), "expected": f"{MODEL}-{version}.expected.json",
        "manifest": f"{MODEL}-{version}.yaml", "metrics": metrics,
        "refusedShare": rounded(refused.mean()), "secondStageShare": rounded(second.mean()),
    }
    provenance = {
        "datasetDigest": data.digest, "trainingRun": f"train-{run[:12]}-{version}",
        "hyperparameters": hyperparameters, "builder": "tests/lab/models/train.py",
    } | ({"gitCommit": commit} if commit else {})
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    evaluations = [{"suite": "holdout-digits", "runID": f"eval-{run[:12]}-{version}", "at": now, "metrics": metrics, "slices": slices}]
    document = manifest(entry, path, provenance, evaluations)
    write(out / entry["manifest"], yaml.safe_dump(document, sort_keys=False, width=110))
    return entry, document


def main():
    out, run = Path(sys.argv[1]).resolve(), sys.argv[2]
    commit = sys.argv[3] if len(sys.argv) > 3 else ""
    out.mkdir(parents=True, exist_ok=True)
    data = Data()
    built = [build(out, run, commit, data, item) for item in versions(data)]
    write(out / "manifests.yaml", yaml.safe_dump_all([document for _, document in built], sort_keys=False, width=110))
    lines = (
        json.dumps({"image": image.astype(int).tolist(), "label": int(label)})
        for image, label in zip(data.holdout, data.holdout_labels)
    )
    write(out / "holdout.jsonl", "\n".join(lines) + "\n")
    index = {"model": MODEL, "inputs": run, "holdout": "holdout.jsonl", "manifests": "manifests.yaml"}
    write(out / "models.json", json.dumps(index | {"versions": [entry for entry, _ in built]}, indent=1))


if __name__ == "__main__":
    main()
