"""What hosts write down about a rollback: where they come back to, and which apply was undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleet.commit import Commit
from fleet.generations import About, History, Origin, Undone
from fleet.rollback_choice import Choice


@dataclass(frozen=True)
class RollbackOrigin(Origin):
    """The origin of a run that takes a tree back; `earlier` is who made each host's earlier generation."""

    earlier: Mapping[str, About] = field(default_factory=dict, repr=False)
    undone: Undone | None = None

    @classmethod
    def of(cls, choice: Choice, histories: Mapping[str, History], run: str, time: str, operator: str) -> RollbackOrigin:
        """Return the origin of the rollback of a choice."""
        back = choice.back
        earlier = {
            name: about
            for name, target in choice.targets.items()
            for about in (histories[name].about, histories[name].before_about)
            if about is not None and about.generation == target
        }
        return cls(
            back.tree if back else "",
            Commit(back.commit, back.clean) if back else Commit("no git", False),
            run,
            time,
            operator,
            undoes=choice.tree,
            earlier=earlier,
            undone=Undone(choice.tree, choice.undone.commit if choice.undone else "", run, time, operator),
        )

    def about(self, host: str, generation: str, present: str) -> str:
        """Return the line for a host that has come back: who made that generation, and that it came back."""
        made = self.earlier.get(host) or replace(self.made(generation), undoes="")
        return replace(made, undone=self.undone).line
