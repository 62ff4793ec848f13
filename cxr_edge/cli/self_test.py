"""``cxr-edge self-test``."""

from __future__ import annotations

import json
from dataclasses import asdict

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import BundleOption, DebugOption, JsonOption
from cxr_edge.errors import CheckFailedError


@app.command()
@reported
def self_test(bundle: BundleOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> int:
    """Check that this installation computes what the bundle's maker computed: golden input, every engine.

    Preprocessing must agree to the last bit, logits within the bundle's tolerance; exit code 11 when one does not.

    Research use only: not for diagnosis.
    """
    from cxr_edge.bundle import open_bundle
    from cxr_edge.self_test import self_test as run_self_test

    outcome = run_self_test(open_bundle(bundle))
    if as_json:
        print(json.dumps({"passed": outcome.passed, **asdict(outcome)}))
    else:
        exact = "exact" if outcome.preprocessing_exact else "DIFFERS"
        print(f"preprocessing ({outcome.preprocessing}): {exact}")
        for check in outcome.engines:
            verdict = "ok" if check.passed else "FAILED"
            print(
                f"{check.engine} {check.precision}: {verdict}, logit differs by {check.difference:.2e} "
                f"(tolerance {check.tolerance:.0e})"
            )
        print("self-test passed" if outcome.passed else "self-test FAILED")
    return 0 if outcome.passed else CheckFailedError.exit_code
