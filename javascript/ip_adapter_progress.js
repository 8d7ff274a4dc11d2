/* The progress of long work on the server. For the web UI it is a task like a generation, with the same progress and the
   same button that interrupts it. */

(() => {
    const EVERY = 500; // milliseconds from one look to the next

    async function look(task) {
        const body = JSON.stringify({id_task: task, id_live_preview: -1, live_preview: false});
        const answer = await fetch("./internal/progress", {
            method: "POST",
            headers: {"Content-Type": "application/json"},
            body,
        });
        return answer.ok ? answer.json() : null; // where no web UI is around the panel, there is none
    }

    /* Show the progress of a task until the work, a promise, is done. */
    ipAdapter.follow = async (task, work, show) => {
        let over = false;
        work.then(() => (over = true));
        while (!over) {
            const progress = await look(task);
            if (!progress) return;
            if (!over && progress.textinfo) show(progress.textinfo);
            await new Promise((resolve) => setTimeout(resolve, EVERY));
        }
    };

    ipAdapter.newTask = () => `task(ipadapter-${Math.random().toString(36).slice(2)})`;
})();
