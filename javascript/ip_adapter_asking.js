/* Requests to the server, through a hidden button. They are sent one at a time, each with a number that its answer
   repeats. */

(() => {
    const {say} = ipAdapter;
    const PATIENCE = 60; // seconds until a question counts as lost, for example because the server was restarted
    const LONG = 600; // the same for questions that may make the server load models
    const LONG_QUESTIONS = [
        "check",
        "faces",
        "keypoints",
        "save",
        "save subject",
        "import subject",
        "save recipe",
        "take recipe",
    ];

    ipAdapter.Asking = class {
        constructor(part) {
            this.part = part;
            this.waiting = []; // the first one has been sent
            this.count = 0;
            this.sent = []; // numbers of the questions that gradio took and has not answered
            this.patience = Object.fromEntries(LONG_QUESTIONS.map((what) => [what, LONG]));
        }

        /* Return the server's answer to {do: what, ...more}; one with nothing but a message is an error. */
        ask(what, more = {}) {
            return new Promise((resolve) => {
                const id = ++this.count;
                const text = JSON.stringify({do: what, id, ...more});
                this.waiting.push({id, text, resolve, patience: this.patience[what] ?? PATIENCE});
                if (this.waiting.length === 1) this.next();
            });
        }

        /* Return the first question for gradio to send, or "" if it has just timed out. */
        take() {
            const [asked] = this.waiting;
            this.sent.push(asked?.id);
            return asked ? asked.text : "";
        }

        /* Let gradio take the first question. If an earlier one timed out, gradio does so only after answering that
           one. */
        next() {
            const [asked] = this.waiting;
            if (!asked) return; // it was answered before its turn came
            clearTimeout(asked.timer);
            asked.timer = setTimeout(() => this.giveUp(asked), asked.patience * 1000);
            if (this.sent.includes(asked.id)) return;
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

        /* Handle a text from the server. If the server failed, gradio repeats an earlier answer, or sends nothing. */
        answer(text) {
            const {id, values, ...answer} = text ? JSON.parse(text) : {};
            const failed = !this.sent.includes(id);
            const [number] = this.sent.splice(failed ? 0 : this.sent.indexOf(id), 1);
            const [asked] = this.waiting;
            if (!asked) return;
            if (answer.message)
                answer.message = values ? say(answer.message, values) : ipAdapter.sentence(answer.message);
            ipAdapter.translate(answer);
            if (number !== asked.id) this.next();
            else if (failed) this.finish({message: say("The server reported an error. See its console for details.")});
            else this.finish(answer);
        }
    };
})();
