"""What holds and what does not, told as it is found out."""

from __future__ import annotations


class Report:
    """Counts checks and keeps what went wrong."""

    def __init__(self):
        self.passed = 0
        self.failures: list[str] = []

    def check(self, what: str, how) -> None:
        """Runs `how`, which raises when the check fails."""
        try:
            how()
        except Exception as error:  # noqa: BLE001  one failure must not hide the others
            self.failures.append(what)
            print(f"FAILED  {what}\n        {type(error).__name__}: {str(error)[:1500]}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {what}", flush=True)
