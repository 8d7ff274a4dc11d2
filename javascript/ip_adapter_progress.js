/* The progress of long requests. To the web UI they are tasks like a generation, with the same progress and the same
   interrupt button. */

(() => {
    const EVERY = 500; // milliseconds between requests

    async function look(task) {
        const body = JSON.stringify({id_task: task, id_live_preview: -1, live_preview: false});
        const answer = await fetch("./internal/progress", {
            method: "POST",
            headers: {"Content-Type": "application/json"},
            body,
        });
        return answer.ok ? answer.json() : null; // without a web UI around the panel there is no such route
    }

    /* Show the progress of a task until the promise `work` is resolved. */
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
