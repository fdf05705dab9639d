"""What each stage of a run is planned from: the run's options, and what lies in its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from volproc.config import Workflow
from volproc.engine.ledger import digest
from volproc.model.answering import described
from volproc.model.network import Network
from volproc.model.weights import CARD
from volproc.stages.annotate.stage import AnnotatePlan, plan_annotate
from volproc.stages.crowd.stage import CrowdPlan, plan_crowd
from volproc.stages.evaluate.stage import EvaluatePlan, plan_evaluate
from volproc.stages.ingest.stage import IngestPlan, plan_ingest
from volproc.stages.interior.labelling import Labelling
from volproc.stages.interior.plan import InteriorPlan
from volproc.stages.interior.stage import plan_interior
from volproc.stages.label.stage import LabelPlan, plan_label, run_label
from volproc.stages.measure.stage import MeasurePlan, plan_measure
from volproc.stages.predict.stage import PredictPlan, plan_predict
from volproc.stages.report.stage import ReportInputs, ReportPlan, plan_report
from volproc.stages.subjects.stage import SubjectsPlan, plan_subjects
from volproc.stages.train.sources import held_out_of, sources_of
from volproc.stages.train.stage import TrainPlan, plan_train
from volproc.volume.access import exists
from volproc.volume.describe import read_info
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import Volume, open_volume
from volproc.workflow.filled import (
    ANNOTATIONS,
    EXPORT,
    IMAGE,
    MODEL,
    SUBJECTS,
    image_url,
    own,
    source_is_volume,
)


@dataclass(frozen=True)
class Plans:
    """The plan of each stage of a workflow, whose options are `filled`.

    To run, everything that a stage reads must be finished: VolumeError. To `foresee`, what is not
    there yet is taken from its maker's plan.
    """

    workflow: Workflow
    foresee: bool = False

    def path(self, name: str) -> str:
        """A file or volume of the run."""
        return own(self.workflow, name)

    def ingest(self) -> IngestPlan:
        """The plan that makes the image."""
        options, out = self.workflow, self.path(IMAGE)
        return plan_ingest(options.run.source, out, options.ingest, options.fetch)

    def subjects(self) -> SubjectsPlan:
        """The plan that cuts slices for volunteers."""
        image, options = self._image(), self.workflow.subjects
        assert options is not None
        out = self.path(SUBJECTS)
        return plan_subjects(image, out, options, identity=Volume(image).identity)

    def crowd(self) -> CrowdPlan:
        """The plan that simulates volunteers."""
        options = self.workflow.crowd
        assert options is not None
        truth = open_volume(options.truth)
        return plan_crowd(truth.info, self.path(EXPORT), options, identity=truth.identity)

    def annotate(self) -> AnnotatePlan:
        """The plan that makes labels from drawings."""
        image, options = self._image(), self.workflow.annotate
        assert options is not None
        drawn_here = self.foresee and options.export == self.path(EXPORT)
        return plan_annotate(
            options.export,
            image,
            self.path(ANNOTATIONS),
            options,
            identity=Volume(image).identity,
            content=self.crowd().digest if drawn_here else "",
        )

    def train(self) -> TrainPlan:
        """The plan that trains a network; the run's own model is begun anew where need be."""
        options = self.workflow.train
        assert options is not None
        return plan_train(
            sources_of(options, self._find),
            options,
            validation=held_out_of(options, self._find),
            anew=options.model_out == self.path(MODEL),
        )

    def predict(self) -> PredictPlan:
        """The plan that makes the prediction, and the votes."""
        image = self._image()
        return plan_predict(
            image,
            self.path("prediction.zarr"),
            self.workflow.predict,
            votes_url=self.path("votes.zarr") if self.workflow.predict.votes else None,
            identity=Volume(image).identity,
            network=self._network(),
        )

    def interior(self) -> InteriorPlan:
        """The plan that makes nuclei of predicted envelopes."""
        options, envelope = self.workflow.interior, self._predicted()
        assert options is not None
        return plan_interior(
            envelope,
            self.path("nuclei.zarr"),
            options,
            labelling=Labelling(plan_label, run_label),
            identity=Volume(envelope).identity,
        )

    def label(self) -> LabelPlan:
        """The plan that makes the objects: of the prediction, or of the nuclei made of it."""
        options, mask = self.workflow.label, self._predicted()
        if self.workflow.interior is not None:
            mask = self._volume("nuclei.zarr", lambda: self.interior().output)
            options = options.model_copy(update={"input": "labels"})
        return plan_label(
            mask,
            self.path("objects.zarr"),
            options,
            native=self._image() if self.workflow.label.native else None,
            identity=Volume(mask).identity,
        )

    def measure(self) -> MeasurePlan:
        """The plan that measures the objects, with their intensity and the axes' agreement."""
        options = self.workflow.measure
        assert options is not None
        labels = self._volume("objects.zarr", lambda: self.label().output)
        image = self._image()
        votes = self._votes() if self.workflow.predict.votes else None
        volumes = [info for info in (labels, image, votes) if info]
        return plan_measure(
            labels,
            self.path("measure"),
            options,
            image=image,
            votes=votes,
            identity=digest([Volume(info).identity for info in volumes]),
        )

    def evaluate(self) -> EvaluatePlan:
        """The plan that scores the fused prediction, each axis, and each fusion of them."""
        results = {
            "prediction": self._predicted(),
        }
        if self.workflow.predict.votes:
            results["votes"] = self._votes()
        truth = open_volume(self.workflow.evaluate.truth).info
        identities = [Volume(info).identity for info in (truth, *results.values())]
        return plan_evaluate(
            results,
            truth,
            self.workflow.evaluate,
            url=self.path("scores.json"),
            identity=digest(identities),
        )

    def report(self) -> ReportPlan:
        """The plan of the page, from those parts of a run that are there."""
        page = Path(self.path("report.html"))
        return plan_report(self._left(), page, self.workflow.report)

    def _left(self) -> ReportInputs:
        def there(name: str) -> str | None:
            return self.path(name) if exists(self.path(name)) else None

        return ReportInputs(
            image=self._image().url,
            prediction=there("prediction.zarr"),
            votes=there("votes.zarr") if self.workflow.predict.votes else None,
            objects=there("objects.zarr"),
            table=there("objects.csv"),
            scores=there("scores.json") if self.workflow.evaluate.truth else None,
            log=there("log.jsonl"),
            certificate=there("prediction-certificate.json"),
            regions=there("votes-regions.csv") if self.workflow.predict.regions_um else None,
            settings=self.workflow.model_dump(mode="json"),
            title=self.workflow.report.title or Path(self.workflow.run.source).name,
        )

    def _image(self) -> VolumeInfo:
        if source_is_volume(self.workflow):
            voxel_nm = self.workflow.predict.voxel_nm
            return open_volume(self.workflow.run.source, voxel_nm=voxel_nm).info
        return self._volume(IMAGE, lambda: self.ingest().output)

    def _predicted(self) -> VolumeInfo:
        return self._volume("prediction.zarr", lambda: self.predict().output)

    def _votes(self) -> VolumeInfo:
        def to_come() -> VolumeInfo:
            votes = self.predict().votes
            assert votes is not None
            return votes

        return self._volume("votes.zarr", to_come)

    def _find(self, url: str) -> VolumeInfo:
        """A volume to learn from, which may be one that the run makes."""
        if url == image_url(self.workflow):
            return self._image()
        if self._to_come(url) and self.workflow.annotate is not None:
            made = {volume.url: volume for volume in self.annotate().volumes}
            return made.get(url) or open_volume(url).info
        return open_volume(url).info

    def _network(self) -> Network | None:
        """The network that [train] will have made, where the model is not there yet."""
        options = self.workflow.train
        if options is None or self.workflow.predict.model != options.model_out:
            return None
        folder = Path(options.model_out)
        if not self.foresee or (folder / CARD).is_file():
            return None
        return described(self.train().card(), folder)

    def _volume(self, name: str, to_come: Callable[[], VolumeInfo]) -> VolumeInfo:
        """A finished volume of the run; foreseen, what its maker's plan says it will be."""
        url = self.path(name)
        return to_come() if self._to_come(url) else open_volume(url).info

    def _to_come(self, url: str) -> bool:
        if not self.foresee:
            return False
        return not exists(url) or not read_info(url).made_by.get("finished")
