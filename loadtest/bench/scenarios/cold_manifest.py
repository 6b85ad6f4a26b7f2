"""A signed image's manifest that was never judged, from a registry far away: how many round trips more than a plain GET of it.

The wire (`relay` in loadtest/tools) delivers every byte D after it was sent, in both directions, so a round trip is 2 D; opening a
connection takes one too. The registry (distribution, no referrers API) wants a bearer token. Three ask in turns, by digest and by tag:

* direct: a client with a warm connection and a token, one GET, one round trip;
* pullgate: a gate as it runs behind a node, with warm upstream connections and a token, but started with an empty store for every
  round, since what it has judged or read once it does not ask for again;
* pullgate from nothing: the same without the warming: its first connections, challenge and token are in the time.

Extra round trips are (ours - direct) / 2 D; the gate's own work is in them, which is why they are not whole. Said with them: every
connection and request that went over the wire.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import oci

from .. import FIXTURES
from ..context import SIGNED_HOST, Context
from ..measure import Result, turns
from ..wire import TOKEN, Client, FarRegistry, together

DELAYS_MS = (0, 20, 100)
# What a cold manifest may take beyond a GET of it: the evidence's manifests and their layers; by tag what the tag means besides.
EXTRA = {"digest": 2, "tag": 3}
# As many as a search asks at once, and some.
WARM = 8
REPOSITORY = "acme/app"


def run(context: Context) -> list[Result]:
    registry = context.distribution("far-registry")
    layout = oci.Layout(FIXTURES / "registry")
    layout.push_to(oci.Registry(f"http://127.0.0.1:{registry.port}"), referrers_tags=True)
    digest = layout.find(REPOSITORY, "v1")["digest"]
    results = []
    for delay in DELAYS_MS[:2] if context.smoke else DELAYS_MS:
        far = FarRegistry(context, registry, delay)
        for how, reference in (("digest", digest), ("tag", "v1")):
            results.append(_measure(context, far, delay, how, reference, digest))
        far.end()
    context.end(registry)
    return results


def _measure(context: Context, far: FarRegistry, delay: int, how: str, reference: str, digest: str) -> Result:
    result = Result(f"cold manifest by {how}, {delay} ms each way", "ms")
    asked: dict[str, list[str]] = {}
    node = Client(far.wire, TOKEN)
    node.get(f"/v2/{REPOSITORY}/tags/list")

    def direct() -> tuple[float, None]:
        return node.get(f"/v2/{REPOSITORY}/manifests/{reference}", digest), None

    def gated(name: str, *, warm: bool) -> Callable[[], tuple[float, None]]:
        def once() -> tuple[float, None]:
            upstream = {"host": SIGNED_HOST, "url": far.wire.url(""), "plain_http": "dangerous"}
            gate = context.gate([upstream], [context.signed_policy()])
            if warm:
                together(WARM, gate, f"/v2/{SIGNED_HOST}/{REPOSITORY}/tags/list")
            client = Client(gate)
            before = len(far.told())
            took = client.get(f"/v2/{SIGNED_HOST}/{REPOSITORY}/manifests/{reference}", digest)
            asked[name] = far.told()[before:]
            context.end(gate)
            return took, None

        return once

    names = ("pullgate", "pullgate from nothing")
    measures = {"pullgate": gated(names[0], warm=True), "direct": direct, names[1]: gated(names[1], warm=False)}
    turns(result, context.rounds if context.smoke else max(5, context.rounds), measures)
    if delay:
        extra = {name: (result.median(name) - result.median("direct")) / (2 * delay) for name in names}
        result.bounds.append(("round trips beyond a GET, to the nearest whole one", round(extra["pullgate"]), EXTRA[how], ""))
        result.notes.append(", ".join(f"{name}: {found:.2f} round trips beyond a GET" for name, found in extra.items()))
    result.notes.extend(f"{name} asked, in its last round: {_told(asked[name], digest)}" for name in names)
    return result


def _told(lines: list[str], digest: str) -> str:
    """Connections, and requests with how often, digests cut short."""
    connections = sum(line.startswith("connection") for line in lines)
    requests = [line.split(" ", 2)[2] for line in lines if line.startswith("request")]
    counted = Counter(_short(request, digest) for request in requests)
    listed = json.dumps([f"{count} x {what}" if count > 1 else what for what, count in counted.items()])
    return f"{connections} connections, {len(requests)} requests {listed}"


def _short(request: str, digest: str) -> str:
    method, path, *_ = request.split(" ")
    hexadecimal = digest.partition(":")[2]
    path = path.replace(hexadecimal, "SUBJECT").removeprefix(f"/v2/{REPOSITORY}/")
    head, sep, name = path.partition("sha256:")
    return f"{method} {head}{sep}{name[:8]}" if sep and name != "SUBJECT" else f"{method} {path}"
