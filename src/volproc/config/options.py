"""What every table of options is made of."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic._internal._model_construction import ModelMetaclass

from volproc.config.explaining import explained
from volproc.credentials import without_secrets
from volproc.errors import ConfigError, GridError
from volproc.grid.crop import parse_crop

MOST = 1e15
"""No option is larger: 10^15 nm are 1000 km. What a volume allows is checked with the volume."""

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, le=MOST)]
Positive = Annotated[float, Field(gt=0, le=MOST)]
Count = Annotated[int, Field(ge=1, le=int(MOST))]
Id = Annotated[int, Field(ge=1, lt=2**64)]
"""Of an object."""
Triple = tuple[Positive, Positive, Positive]
Voxels = tuple[Count, Count, Count]


def _crop(value: Any) -> Any:
    """A box in words; a whole number is the side of one in the middle."""
    if isinstance(value, int | str) and value != "":
        try:
            return parse_crop(str(value)).text
        except GridError as error:
            raise ValueError(str(error)) from error
    return value


Crop = Annotated[str, BeforeValidator(_crop)]
"""A part of a volume in words (`grid/crop.py`); "" is all of it."""

PATH = "path"
MODEL = "model"
FilePath = Annotated[str, PATH, AfterValidator(without_secrets)]
"""A path or URL; in a file relative to its folder."""
ModelName = Annotated[str, MODEL, AfterValidator(without_secrets)]
"""A model: a path relative to the file, or the name of a shipped one."""

ACCESSION = re.compile(r"EMPIAR-(\d{5,})", re.IGNORECASE)
"""An entry of EMPIAR, where a source may be named."""


class RenamedOptionWarning(FutureWarning):
    """An option was given by an earlier name."""


class _Refusing(ModelMetaclass):
    """What Python callers get wrong is told in one line, as that of files is (`loading.parsed`)."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise ConfigError(f"{cls.__name__}: {explained(cls, error)}") from error


class Options(BaseModel, metaclass=_Refusing):
    """Frozen; unknown keys are errors, and so are inf and NaN: to have no limit is None."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Options by an earlier name, which still works for a release; recipes keep it."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: Any) -> Any:
        return cls.by_names_of_today(values) if isinstance(values, dict) else values

    @classmethod
    def by_names_of_today(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same values by today's names, with a RenamedOptionWarning for each earlier one.

        ConfigError where an option is given by both.
        """
        found = dict(values)
        for old in set(cls.RENAMED) & set(found):
            new = cls.RENAMED[old]
            if new in found:
                raise ConfigError(f"{old} is an earlier name of {new}; give {new} only")
            found[new] = found.pop(old)
            told = f"option {old} is called {new} now; the earlier name goes with the next release"
            warnings.warn(told, RenamedOptionWarning, stacklevel=3)
        return found

    def recorded(self, *, exclude: Collection[str] = ()) -> dict[str, Any]:
        """The options as recipes keep them: by the names that they had first."""
        first = {new: old for old, new in self.RENAMED.items()}
        found = self.model_dump(mode="json", exclude=set(exclude))
        return {first.get(name, name): value for name, value in found.items()}
