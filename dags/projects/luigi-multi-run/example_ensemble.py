"""Two models that read handwritten digits, each trained by a Domino run on hardware of its own, and their ensemble.

    CleanDigits -> ExtractFeatures -> TrainRForest (X-Large) -> PredictRForest -> CombinePredictions -> ScoreReport
                                   -> TrainNNet    (GPU)     -> PredictNNet    ->

Every task makes one file, written beside its place and renamed when it is whole, so a target that exists is complete.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
import luigi.retcodes
from luigi.format import Nop

from airflow_domino.luigi import DominoRunTask

if TYPE_CHECKING:
    import numpy as np
    from sklearn.base import ClassifierMixin

SEED = 7


def needed(name: str) -> Any:
    """Import a library where it is used: to draw the pipeline, or to ask what is complete, none is needed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        what = "install what this sample trains with where it runs: pip install 'airflow-domino[samples]'"
        raise ModuleNotFoundError(f"{missing}; {what}") from missing


class CleanDigits(luigi.Task):
    """Writes scikit-learn's images of digits without duplicates, the digit in the first column."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/clean_digits.csv")

    def run(self) -> None:
        np, digits = needed("numpy"), needed("sklearn.datasets").load_digits()
        rows = np.unique(np.column_stack([digits.target, digits.data]).astype(int), axis=0)
        with self.output().open("w") as table:
            np.savetxt(table, rows, fmt="%d", delimiter=",")


class ExtractFeatures(luigi.Task):
    """Writes pixels scaled to 0..1 with the sums of their rows and columns, a third of the images kept for scoring."""

    def requires(self) -> luigi.Task:
        return CleanDigits()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/features.npz", format=Nop)

    def run(self) -> None:
        np, train_test_split = needed("numpy"), needed("sklearn.model_selection").train_test_split
        rows = np.loadtxt(self.input().path, delimiter=",")
        digits, pixels = rows[:, 0].astype(int), rows[:, 1:] / 16
        images = pixels.reshape(-1, 8, 8)
        features = np.column_stack([pixels, images.mean(axis=1), images.mean(axis=2)])
        x_train, x_test, y_train, y_test = train_test_split(
            features, digits, test_size=1 / 3, random_state=SEED, stratify=digits
        )
        with self.output().open("w") as archive:
            np.savez(archive, x_train=x_train, x_test=x_test, y_train=y_train, y_test=y_test)


class TrainTask(luigi.Task):
    """Fits a classifier and keeps it as one file: a zip of the model's folder."""

    def requires(self) -> luigi.Task:
        return ExtractFeatures()

    def classifier(self) -> ClassifierMixin:
        """Return the classifier to fit."""
        raise NotImplementedError

    def run(self) -> None:
        features = needed("numpy").load(self.input().path)
        # The matrices are too small to be shared between threads: that would only take turns.
        with needed("threadpoolctl").threadpool_limits(1):
            model = self.classifier().fit(features["x_train"], features["y_train"])
            accuracy = float(model.score(features["x_test"], features["y_test"]))
        about = {"classifier": str(model), "accuracy": round(accuracy, 4)}
        with tempfile.TemporaryDirectory() as folder, self.output().open("w") as archive:
            Path(folder, "about.json").write_text(json.dumps(about, indent=2) + "\n")
            needed("joblib").dump(model, Path(folder, "model.joblib"))
            zip_folder(Path(folder), archive)
        write_domino_stats(about)


class TrainRForest(TrainTask):
    """Trains a random forest."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("models/rforest.zip", format=Nop)

    def classifier(self) -> ClassifierMixin:
        return needed("sklearn.ensemble").RandomForestClassifier(n_estimators=300, random_state=SEED)


class TrainNNet(TrainTask):
    """Trains a neural network."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("models/nnet.zip", format=Nop)

    def classifier(self) -> ClassifierMixin:
        return needed("sklearn.neural_network").MLPClassifier(hidden_layer_sizes=(64,), max_iter=400, random_state=SEED)


class PredictTask(luigi.Task):
    """Writes the probability of each digit for each image that was kept for scoring."""

    def trained(self) -> luigi.Task:
        """Return the Domino run that trains the model."""
        raise NotImplementedError

    def requires(self) -> dict[str, luigi.Task]:
        return {"features": ExtractFeatures(), "model": self.trained()}

    def run(self) -> None:
        model = load_model(self.input()["model"].path)
        features = needed("numpy").load(self.input()["features"].path)
        write_probabilities(self.output(), model.predict_proba(features["x_test"]))


class PredictRForest(PredictTask):
    """Asks the random forest, which a Domino run on the X-Large tier trains."""

    def trained(self) -> luigi.Task:
        return DominoRunTask(["example_ensemble.py", "TrainRForest"], "X-Large", TrainRForest().output().path)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/rforest_predictions.csv")


class PredictNNet(PredictTask):
    """Asks the neural network, which a Domino run on the GPU tier trains."""

    def trained(self) -> luigi.Task:
        return DominoRunTask(["example_ensemble.py", "TrainNNet"], "GPU", TrainNNet().output().path)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/nnet_predictions.csv")


class CombinePredictions(luigi.Task):
    """Writes the mean of what the two models say."""

    def requires(self) -> list[luigi.Task]:
        return [PredictRForest(), PredictNNet()]

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("data/ensemble_predictions.csv")

    def run(self) -> None:
        both = [read_probabilities(said) for said in self.input()]
        write_probabilities(self.output(), needed("numpy").mean(both, axis=0))


class ScoreReport(luigi.Task):
    """Writes how often each model and their ensemble were right."""

    def requires(self) -> dict[str, luigi.Task]:
        return {
            "features": ExtractFeatures(),
            "forest": PredictRForest(),
            "net": PredictNNet(),
            "ensemble": CombinePredictions(),
            "forest model": PredictRForest().trained(),
            "net model": PredictNNet().trained(),
        }

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget("report/score_report.json")

    def run(self) -> None:
        np, inputs = needed("numpy"), self.input()
        features = np.load(inputs["features"].path)
        said = {name: read_probabilities(inputs[name]).argmax(axis=1) for name in ("forest", "net", "ensemble")}
        accuracy = {name: round(float(np.mean(digits == features["y_test"])), 4) for name, digits in said.items()}
        report = {
            "data": "scikit-learn digits",
            "images": {"training": len(features["y_train"]), "scoring": len(features["y_test"])},
            "features": features["x_train"].shape[1],
            "accuracy": accuracy,
            "models": {name: model_card(inputs[f"{name} model"].path) for name in ("forest", "net")},
        }
        with self.output().open("w") as target:
            target.write(json.dumps(report, indent=2) + "\n")
        write_domino_stats({f"{name}_accuracy": value for name, value in accuracy.items()})


def zip_folder(folder: Path, archive: Any) -> None:
    """Write the files of a folder into an archive whose bytes depend on their names and content alone."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.iterdir()):
            zipped.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)


def load_model(path: str) -> ClassifierMixin:
    """Return the classifier in a model's zip."""
    with zipfile.ZipFile(path) as zipped, zipped.open("model.joblib") as model:
        return needed("joblib").load(model)


def model_card(path: str) -> dict[str, Any]:
    """Return what the training noted about a model, and the size of its file."""
    with zipfile.ZipFile(path) as zipped:
        return json.loads(zipped.read("about.json")) | {"bytes": Path(path).stat().st_size}


def write_probabilities(target: luigi.LocalTarget, probabilities: np.ndarray) -> None:
    """Write one line per image, one column per digit."""
    with target.open("w") as table:
        needed("numpy").savetxt(table, probabilities, fmt="%.6f", delimiter=",")


def read_probabilities(target: luigi.LocalTarget) -> np.ndarray:
    """Read what write_probabilities wrote."""
    return needed("numpy").loadtxt(target.path, delimiter=",")


def write_domino_stats(stats: dict[str, Any]) -> None:
    """Write the figures that Domino shows beside the run."""
    Path("dominostats.json").write_text(json.dumps(stats) + "\n")


if __name__ == "__main__":
    luigi.configuration.add_config_path(str(Path(__file__).with_name("luigi.cfg")))
    luigi.retcodes.run_with_retcodes(sys.argv[1:])
