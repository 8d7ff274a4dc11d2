/* Units follow the checkpoint: when its base model changes, each takes an adapter of the same use for the new base. What
   came from pasted parameters stays as it is. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.Following = class {
        constructor(panel) {
            this.panel = panel;
            this.base = "";
            this.kept = new WeakMap(); // a unit -> the adapter that it had, by base model
        }

        /* Look whether the base is another one than before. */
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

        /* Return the adapter that a unit goes on with: the one that it had with this base, or a similar one, or "". */
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
                    ? say("The checkpoint is {base} now, so the unit uses {name}.", values)
                    : say("The checkpoint is {base} now, so {n} units use other adapters.", values);
            message.show(text, false, {[say("Undo")]: undo});
        }

        /* Give all units one of their two adapters; who chose it, the person or the panel, stays the same. */
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
