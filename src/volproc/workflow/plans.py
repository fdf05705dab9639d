"""What each stage of a run is planned from: the run's options, and what lies in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from volproc.config.devices import planned_for
from volproc.engine.protocol import Step
from volproc.errors import (
    ConfigError,
    VolprocError,
)
from volproc.stages.claims import Claim
from volproc.stages.description import (
    Input,
    Output,
    Request,
    Stage,
)
from volproc.volume.metadata import VolumeInfo
from volproc.volume.store import open_volume
from volproc.workflow.filled import (
    image_url,
    own,
)
from volproc.workflow.registry import registered
from volproc.workflow.workflow_file import Workflow


@dataclass(frozen=True)
class Plans:
    """The plan of each stage of a workflow, whose options are `filled`; each is made once.

    What a stage reads must be finished: VolumeError. But what one of the stages `to_run` will
    make is taken from that stage's plan, and with `dry_run` whatever is not there yet.
    """

    workflow: Workflow
    to_run: frozenset[str] = frozenset()
    dry_run: bool = False
    _made: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Any:
        """The plan of a stage."""
        if name not in self._made:
            stage = registered()[name]
            with planned_for(self.workflow.cluster.gpus_elsewhere):
                self._made[name] = stage.plan(self._request(stage))
        return self._made[name]

    def claim(self, name: str) -> Claim:
        """What a stage reads and writes, and what is there."""
        key = f"claim of {name}"
        if key not in self._made:
            with planned_for(self.workflow.cluster.gpus_elsewhere):
                self._made[key] = self.of(name).claim
        return cast(Claim, self._made[key])

    def steps(self, name: str) -> tuple[Step, ...]:
        """The steps of a stage; some plans make them only now."""
        with planned_for(self.workflow.cluster.gpus_elsewhere):
            return tuple(self.of(name).steps)

    def path(self, name: str) -> str:
        """A file or volume of the run."""
        return own(self.workflow, name)

    def stale(self, name: str) -> str:
        """Why what a stage left is not what the options and inputs of today make; "" if it is.

        An earlier volproc did not note what its results were made from: they are believed.
        """
        if not self.workflow.has(registered()[name]):
            return ""
        try:
            claim = self.claim(name)
        except VolprocError as error:  # what it was made from is gone
            return str(error)
        known = claim.state == "other" and not claim.why.unknown
        return str(claim.why) if known else ""

    def _request(self, stage: Stage) -> Request:
        tables = {name: self.workflow.table(name) for name in stage.tables}
        inputs = {one.name: self._place_read(stage, one) for one in stage.inputs}
        outputs = {one.name: self._place_written(stage, one) for one in stage.outputs}
        made = {name: self._origin(stage, name, url) for name, url in inputs.items() if url}
        return Request(
            {name: options for name, options in tables.items() if options is not None},
            {name: url for name, url in inputs.items() if url},
            {name: url for name, url in outputs.items() if url},
            find=partial(self._find, stage),
            origins={name: maker for name, maker in made.items() if maker},
            coming=lambda name: self.of(name) if self._is_to_come(name) else None,
            stages=registered(),
            run=self,
        )

    def _place_read(self, stage: Stage, one: Input) -> str:
        options = self.workflow.table(stage.name)
        asked = getattr(options, one.name, None)
        if stage.names(one.name) or asked is False:
            return asked or ""
        if one.kind == "source":
            return self.workflow.run.source
        return next(filter(None, map(self._place_made, one.sources)), "")

    def _place_made(self, source: str) -> str:
        """Where "stage.output" is; "" if the run does not make it."""
        if source == "run.source":
            return self.workflow.run.source if self.workflow.source_is_volume else ""
        maker, _, output = source.partition(".")
        stage = registered()[maker]
        if not self.workflow.has(stage):
            return ""
        return self._place_written(stage, next(o for o in stage.outputs if o.name == output))

    def _place_written(self, stage: Stage, one: Output) -> str:
        options = self.workflow.table(stage.name)
        if one.path_option:
            return str(getattr(options, one.path_option))
        unwanted = stage.asks(one.name) and not getattr(options, one.name)
        return "" if unwanted else self.path(one.file)

    def _origin(self, stage: Stage, name: str, url: str) -> str:
        """The stage of the run that makes an input; "" if none does."""
        sources = next(one.sources for one in stage.inputs if one.name == name)
        made = (source for source in sources if self._place_made(source) == url)
        return next(made, "").partition(".")[0].removeprefix("run")

    def _find(self, reader: Stage, url: str) -> VolumeInfo:
        """A volume that a stage reads; to come, what its maker's plan says it will be."""
        for maker in self._earlier(reader):
            places = (self._place_written(maker, one) for one in maker.outputs)
            # volumes beside an output have its name and an ending: annotations-ignore.zarr
            if not any(place and url.startswith(place.removesuffix(".zarr")) for place in places):
                continue
            if self._is_to_come(maker.name):
                made = {info.url: info for info in self.claim(maker.name).volumes}
                if url in made:
                    return made[url]
        source = image_url(self.workflow) if self.workflow.run.source else ""
        is_source = url == source and self.workflow.source_is_volume
        voxel_nm = self.workflow.predict.voxel_nm if is_source else None
        return open_volume(url, voxel_nm=voxel_nm).info

    def _earlier(self, reader: Stage) -> Iterator[Stage]:
        for stage in registered().values():
            if stage is reader:
                return
            if self.workflow.has(stage):
                yield stage

    def _is_to_come(self, name: str) -> bool:
        if name in self.to_run:
            return self.claim(name).state != "done"
        return self.dry_run and self.claim(name).state in ("absent", "begun")


def chosen(workflow: Workflow, names: Sequence[str]) -> tuple[Stage, ...]:
    """The stages a workflow has, in order, or those of them that are named.

    ConfigError for a name that is no stage, or one that the workflow lacks; only `ingest` may be
    named where the image is there already.
    """
    stages = [stage for stage in registered().values() if stage.in_run != "never"]
    known = [stage.name for stage in stages]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(f"unknown stage {unknown[0]!r}; stages are {', '.join(known)}")
    there = tuple(stage for stage in stages if workflow.has(stage))
    absent = sorted(set(names) - {"ingest"} - {stage.name for stage in there})
    if absent:
        raise ConfigError(
            f"the workflow has no stage {absent[0]!r}: its table [{absent[0]}] is missing, or "
            "names nothing to work on"
        )
    return tuple(stage for stage in there if not names or stage.name in names)
