"""What all tables of the settings are: strict, and never changed."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file: unknown keys are errors, nothing changes later."""

    # What a setting means is its description: docs/reference/settings.md is written from it.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)
