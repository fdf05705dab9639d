"""What each stage of a run is planned from: the run's options, and what lies in its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from volproc.config import Workflow
from volproc.errors import VolprocError
from volproc.model.answering import described
from volproc.model.network import Network
from volproc.stages.annotate.stage import AnnotatePlan, plan_annotate
from volproc.stages.claims import Claim
from volproc.stages.crowd.stage import CrowdPlan, plan_crowd
from volproc.stages.evaluate.stage import EvaluatePlan, plan_evaluate
from volproc.stages.filter.stage import FilterPlan, plan_filter
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
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import open_volume
from volproc.workflow.filled import (
    ANNOTATIONS,
    EXPORT,
    FILTERED,
    IMAGE,
    MODEL,
    SUBJECTS,
    image_url,
    network_image_url,
    own,
    source_is_volume,
)


@dataclass(frozen=True)
class Plans:
    """The plan of each stage of a workflow, whose options are `filled`; each is made once.

    What a stage reads must be finished: VolumeError. But what one of the stages `to_run` will
    make is taken from that stage's plan, and with `foresee` whatever is not there yet.
    """

    workflow: Workflow
    to_run: frozenset[str] = frozenset()
    foresee: bool = False
    _made: dict[str, Any] = field(default_factory=dict)

    def of(self, stage: str) -> Any:
        """The plan of a stage."""
        if stage not in self._made:
            self._made[stage] = getattr(self, stage)()
        return self._made[stage]

    def claim(self, stage: str) -> Claim:
        """What a stage reads and writes, and what is there."""
        name = f"claim of {stage}"
        if name not in self._made:
            self._made[name] = self.of(stage).claim
        return cast(Claim, self._made[name])

    def path(self, name: str) -> str:
        """A file or volume of the run."""
        return own(self.workflow, name)

    def ingest(self) -> IngestPlan:
        """The plan that makes the image."""
        options, out = self.workflow, self.path(IMAGE)
        return plan_ingest(options.run.source, out, options.ingest, options.fetch)

    def filter(self) -> FilterPlan:
        """The plan that filters the image for the network."""
        options = self.workflow.filter
        assert options is not None
        return plan_filter(self._image(), self.path(FILTERED), options)

    def subjects(self) -> SubjectsPlan:
        """The plan that cuts slices for volunteers."""
        image, options = self._image(), self.workflow.subjects
        assert options is not None
        out = self.path(SUBJECTS)
        return plan_subjects(image, out, options)

    def crowd(self) -> CrowdPlan:
        """The plan that simulates volunteers."""
        options = self.workflow.crowd
        assert options is not None
        truth = open_volume(options.truth)
        return plan_crowd(truth.info, self.path(EXPORT), options)

    def annotate(self) -> AnnotatePlan:
        """The plan that makes labels from drawings."""
        image, options = self._image(), self.workflow.annotate
        assert options is not None
        drawn_here = options.export == self.path(EXPORT) and self._is_to_come("crowd")
        return plan_annotate(
            options.export,
            image,
            self.path(ANNOTATIONS),
            options,
            content=self.of("crowd").digest if drawn_here else "",
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
        return plan_predict(
            self._find(network_image_url(self.workflow)),
            self.path("prediction.zarr"),
            self.workflow.predict,
            votes_url=self.path("votes.zarr") if self.workflow.predict.votes else None,
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
        )

    def label(self) -> LabelPlan:
        """The plan that makes the objects: of the prediction, or of the nuclei made of it."""
        options, mask = self.workflow.label, self._predicted()
        if self.workflow.interior is not None:
            mask = self._volume("nuclei.zarr", "interior")
            options = options.model_copy(update={"input": "labels"})
        return plan_label(
            mask,
            self.path("objects.zarr"),
            options,
            native=self._image() if self.workflow.label.native else None,
        )

    def measure(self) -> MeasurePlan:
        """The plan that measures the objects, with their intensity and the axes' agreement."""
        options = self.workflow.measure
        assert options is not None
        labels = self._volume("objects.zarr", "label")
        image = self._image()
        votes = self._votes() if self.workflow.predict.votes else None
        return plan_measure(
            labels,
            self.path("measure"),
            options,
            image=image,
            votes=votes,
        )

    def evaluate(self) -> EvaluatePlan:
        """The plan that scores the fused prediction, each axis, and each fusion of them."""
        results = {
            "prediction": self._predicted(),
        }
        if self.workflow.predict.votes:
            results["votes"] = self._votes()
        truth = open_volume(self.workflow.evaluate.truth).info
        return plan_evaluate(
            results,
            truth,
            self.workflow.evaluate,
            url=self.path("scores.json"),
        )

    def report(self) -> ReportPlan:
        """The plan of the page, from those parts of a run that are there."""
        page = Path(self.path("report.html"))
        return plan_report(self._left(), page, self.workflow.report)

    def _left(self) -> ReportInputs:
        predict = self.workflow.predict
        stale = {name: self._stale(name) for name in ("predict", "label", "evaluate")}
        edited = self.workflow.label and not stale["label"] and self.claim("label").edited
        if edited:
            stale["table"] = "the objects were edited since"

        def there(name: str, *stages: str) -> str | None:
            old = any(stale.get(stage) for stage in stages)
            return self.path(name) if exists(self.path(name)) and not old else None

        return ReportInputs(
            image=self._image().url,
            prediction=there("prediction.zarr", "predict"),
            votes=there("votes.zarr", "predict") if predict.votes else None,
            objects=there("objects.zarr", "label"),
            table=there("objects.csv", "label", "table"),
            scores=there("scores.json", "evaluate") if self.workflow.evaluate.truth else None,
            log=there("log.jsonl"),
            certificate=there("prediction-certificate.json", "predict"),
            regions=there("votes-regions.csv", "predict") if predict.regions_um else None,
            settings=self.workflow.model_dump(mode="json"),
            stale=tuple(f"{name}: {why}" for name, why in stale.items() if why),
            title=self.workflow.report.title or Path(self.workflow.run.source).name,
        )

    def _stale(self, stage: str) -> str:
        """Why what a stage left is not what the options and inputs of today make; "" if it is.

        An earlier volproc did not note what its results were made from: they are believed.
        """
        if stage == "evaluate" and not self.workflow.evaluate.truth:
            return ""
        try:
            claim = self.claim(stage)
        except VolprocError as error:  # what it was made from is gone
            return str(error)
        known = claim.state == "other" and not claim.why.unknown
        return str(claim.why) if known else ""

    def _image(self) -> VolumeInfo:
        if source_is_volume(self.workflow):
            voxel_nm = self.workflow.predict.voxel_nm
            return open_volume(self.workflow.run.source, voxel_nm=voxel_nm).info
        return self._volume(IMAGE, "ingest")

    def _predicted(self) -> VolumeInfo:
        return self._volume("prediction.zarr", "predict")

    def _votes(self) -> VolumeInfo:
        if self._is_to_come("predict"):
            votes: VolumeInfo | None = self.of("predict").votes
            assert votes is not None
            return votes
        return open_volume(self.path("votes.zarr")).info

    def _find(self, url: str) -> VolumeInfo:
        """A volume for a network, which may be one that the run makes."""
        if url == image_url(self.workflow):
            return self._image()
        if self.workflow.filter is not None and url == self.path(FILTERED):
            return self._volume(FILTERED, "filter")
        if self.workflow.annotate is not None and self._is_to_come("annotate"):
            made = {volume.url: volume for volume in self.of("annotate").volumes}
            return made.get(url) or open_volume(url).info
        return open_volume(url).info

    def _network(self) -> Network | None:
        """The network that [train] will have made, where the model is not there yet."""
        options = self.workflow.train
        if options is None or self.workflow.predict.model != options.model_out:
            return None
        folder = Path(options.model_out)
        if not self._is_to_come("train"):
            return None
        return described(self.of("train").card(), folder)

    def _volume(self, name: str, stage: str) -> VolumeInfo:
        """A finished volume of the run; to come, what its maker's plan says it will be."""
        if self._is_to_come(stage):
            return cast(VolumeInfo, self.of(stage).output)
        return open_volume(self.path(name)).info

    def _is_to_come(self, stage: str) -> bool:
        if stage in self.to_run:
            return self.claim(stage).state != "done"
        return self.foresee and self.claim(stage).state in ("absent", "begun")
