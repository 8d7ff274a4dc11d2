/* The way to the server, which is one button: questions wait for each other, and each has a number that comes back with
   its answer. */

(() => {
    const {say} = ipAdapter;
    const PATIENCE = 60; // seconds until a question counts as lost, as after a restart of the server
    const LONG = 600; // the same for what the server may have to load models for
    const LONG_QUESTIONS = ["check", "faces", "keypoints", "save", "save subject", "import subject"];

    ipAdapter.Asking = class {
        constructor(part) {
            this.part = part;
            this.waiting = []; // the first one is with the server
            this.count = 0;
            this.answered = undefined; // number of the question that was answered last
            this.patience = Object.fromEntries(LONG_QUESTIONS.map((what) => [what, LONG]));
        }

        /* Return the server's answer to {do: what, ...more}; one that has nothing but a message says what went wrong. */
        ask(what, more = {}) {
            return new Promise((resolve) => {
                const id = ++this.count;
                const text = JSON.stringify({do: what, id, ...more});
                this.waiting.push({id, text, resolve, patience: this.patience[what] ?? PATIENCE});
                if (this.waiting.length === 1) this.next();
            });
        }

        get request() {
            return this.waiting.length ? this.waiting[0].text : "";
        }

        /* Let gradio take the first question; it does not while it still works on one that was given up. */
        next() {
            const [asked] = this.waiting;
            if (!asked) return; // it was answered before its turn came
            clearTimeout(asked.timer);
            asked.timer = setTimeout(() => this.giveUp(asked), asked.patience * 1000);
            const part = this.part("ask");
            (part.matches("button") ? part : part.querySelector("button")).click();
        }

        giveUp({patience}) {
            this.finish({
                message: say("The server has not answered for {n} seconds. If it was restarted, reload the page.", {
                    n: patience,
                }),
            });
        }

        finish(answer) {
            const asked = this.waiting.shift();
            clearTimeout(asked.timer);
            if (this.waiting.length) setTimeout(() => this.next());
            asked.resolve(answer);
        }

        /* Take what came from the server: where it failed, that is the last answer once more, or nothing. An answer to a
           question that was given up makes the way free for the next. */
        answer(text) {
            const {id, values, ...answer} = text ? JSON.parse(text) : {};
            const [asked] = this.waiting;
            const isRepeated = id === this.answered;
            this.answered = id;
            if (!asked) return;
            if (answer.message) answer.message = say(answer.message, values);
            if (id === asked.id) this.finish(answer);
            else if (isRepeated) this.finish({message: say("The server failed. Its console has the details.")});
            else this.next();
        }
    };
})();
