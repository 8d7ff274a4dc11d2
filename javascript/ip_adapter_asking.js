/* The way to the server, which is one button: questions wait for each other, and each has a number that comes back with
   its answer. */

ipAdapter.Asking = class {
    constructor(part) {
        this.part = part;
        this.waiting = []; // the first one is with the server
        this.count = 0;
    }

    /* Return the server's answer to {do: what, ...more}; one that has nothing but a message tells what went wrong. */
    ask(what, more = {}) {
        return new Promise((resolve) => {
            const id = ++this.count;
            this.waiting.push({id, text: JSON.stringify({do: what, id, ...more}), resolve});
            if (this.waiting.length === 1) this.next();
        });
    }

    get request() {
        return this.waiting.length ? this.waiting[0].text : "";
    }

    next() {
        const part = this.part("ask");
        (part.matches("button") ? part : part.querySelector("button")).click();
    }

    /* Where the server failed, what comes is the answer before, or none. */
    answer(text) {
        const {id, values, ...answer} = text ? JSON.parse(text) : {};
        const asked = this.waiting.shift();
        if (!asked) return;
        if (this.waiting.length) setTimeout(() => this.next());
        if (answer.message) answer.message = ipAdapter.say(answer.message, values);
        asked.resolve(
            id === asked.id ? answer : {message: ipAdapter.say("The server failed. Its console has the details.")},
        );
    }
};
