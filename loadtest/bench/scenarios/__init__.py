"""The scenarios, in the order they run: each has a function `run(context) -> list[Result]` and starts and ends its own servers."""

from . import command, memory, paced, warm

ALL = {"warm": warm, "paced": paced, "memory": memory, "command": command}
# What the smoke run takes: that nothing rots, in about a minute.
SMOKE = ("warm", "memory", "command")
