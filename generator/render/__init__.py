"""Components and hosts in, the tree of rendered/<c> out; what fleet later follows, and nothing it must decide.

levels      components → folders: shared, per pool, per host
manifest    a folder → manifest.yaml and rootfs/
inventory, phases, bom, pki_page, objects, charts    the other files of a tree
assembly    all of it: `render`, pure
tree        a tree in memory ↔ a folder on disk
check, diff, explain, pipeline    what the verbs call
"""

from generator.render.assembly import render
from generator.render.check import check, current_tree, rendered_dir
from generator.render.diff import diff
from generator.render.pipeline import Report, render_cluster
from generator.render.tree import Changes, Tree, changes, write

__all__ = [
    "Changes",
    "Report",
    "Tree",
    "changes",
    "check",
    "current_tree",
    "diff",
    "render",
    "render_cluster",
    "rendered_dir",
    "write",
]
