"""A secret option: given as it is, or as the place where it lies, so that settings files need not hold it."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from connectors.errors import Reject, Retry

COMMAND_SECONDS = 30


class Secret(BaseModel):
    """Text, or a table with one of `file`, `env` and `command` (which prints it: for tokens that expire)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: SecretStr | None = None
    file: Path | None = None
    env: str | None = None
    command: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, str | SecretStr) else given

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if sum(place is not None for place in (self.value, self.file, self.env, self.command)) != 1:
            raise ValueError("give the secret itself, or exactly one of file, env and command")
        return self

    def read(self) -> str:
        """The secret as it is now, without white space around it.

        Raises
        ------
        Reject
            The file, the variable or the command gives none.
        Retry
            The command takes too long or fails.
        """
        found = self._found().strip()
        if not found:
            raise Reject(f"the secret is empty: check its {self._place()}")
        if not found.isascii() or not found.isprintable():
            raise Reject(f"the secret holds a character that no header can carry: check its {self._place()}")
        return found

    def _found(self) -> str:
        if self.file is not None:
            try:
                return self.file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise Reject(f"the secret's file {self.file} cannot be read: {type(error).__name__}") from error
        if self.env is not None:  # read here and not at the start: that is what the option asks for
            if self.env not in os.environ:
                raise Reject(f"the secret's variable {self.env} is not set")
            return os.environ[self.env]
        if self.command is not None:
            return _printed(self.command)
        assert self.value is not None
        return self.value.get_secret_value()

    def _place(self) -> str:
        return next((name for name in ("file", "env", "command") if getattr(self, name) is not None), "value")


def _printed(command: str) -> str:
    try:
        # The operator's own words from the settings; no shell reads them.
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)  # noqa: S603
    except (OSError, ValueError) as error:
        raise Reject(f"the secret's command cannot be started: {type(error).__name__}") from error
    except subprocess.TimeoutExpired as error:
        raise Retry(f"the secret's command took longer than {COMMAND_SECONDS} s") from error
    if done.returncode != 0:
        raise Retry(f"the secret's command ended with {done.returncode}")
    return done.stdout
