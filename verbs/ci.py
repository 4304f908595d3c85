"""The verbs of the delivery chain, ci.*, from the modules that hold them."""

from __future__ import annotations

from invoke.collection import Collection

from verbs.ci_files import dockerfile, new, validate, values_
from verbs.ci_pipeline import deploy_, notify, scan, stages_, unit

namespace = Collection("ci", new, validate, dockerfile, values_, stages_, scan, unit, deploy_, notify)
