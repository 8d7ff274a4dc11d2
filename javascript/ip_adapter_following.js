/* Units follow the checkpoint: when its base model changes, each switches to an adapter for the new base with the same
   use. Units from pasted parameters stay as they are. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.Following = class {
        constructor(panel) {
            this.panel = panel;
            this.base = "";
            this.kept = new WeakMap(); // a unit -> its adapter for each base model
        }

        /* Check whether the base has changed. */
        follow() {
            const {files, state} = this.panel;
            const before = this.base;
            if (!files.base || files.base === before) return;
            this.base = files.base;
            const moves = state.all
                .map((unit) => ({unit, from: unit.model, to: this.next(unit)}))
                .filter(({to}) => before && to);
            if (moves.length) this.move(moves, before);
        }

        /* Return the adapter that a unit switches to: the one that it had with this base, a similar one, or "". */
        next(unit) {
            const {files, state} = this.panel;
            if (!files.modelOf(unit)?.reason || state.isPasted(unit)) return "";
            const kept = this.kept.get(unit)?.[files.base];
            return files.isUsable(kept) ? kept : files.instead(unit.model)?.name || "";
        }

        move(moves, base) {
            for (const {unit, from} of moves) this.kept.set(unit, {...this.kept.get(unit), [base]: from});
            this.setAll(moves, "to");
            const {message, files} = this.panel;
            const undo = () => {
                this.setAll(moves, "from");
                message.clear();
            };
            const values = {name: files.titleOf({name: moves[0].to}), n: moves.length, base: files.base};
            const text =
                moves.length === 1
                    ? say("The checkpoint is now {base}, so the unit uses {name}.", values)
                    : say("The checkpoint is now {base}, so {n} units use different adapters.", values);
            message.show(text, false, {[say("Undo")]: undo});
        }

        /* Give all units one of their two adapters, without changing whether the user or the panel chose it. */
        setAll(moves, which) {
            const {state} = this.panel;
            for (const move of moves) {
                state.isChosen(move.unit)
                    ? state.choose(move.unit, move[which])
                    : state.suggest(move.unit, move[which]);
            }
            this.panel.draw();
        }
    };
})();
