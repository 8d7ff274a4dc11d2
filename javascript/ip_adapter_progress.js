/* How far long work at the server is. The web UI knows the work as a task, tells of it as it tells of a generation, and its
   button for that interrupts it, too. */

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

    /* Show what the web UI tells of a task until the work, a promise, is done. */
    ipAdapter.follow = async (task, work, show) => {
        let over = false;
        work.then(() => (over = true));
        while (!over) {
            const told = await look(task);
            if (!told) return;
            if (!over && told.textinfo) show(told.textinfo);
            await new Promise((resolve) => setTimeout(resolve, EVERY));
        }
    };

    ipAdapter.newTask = () => `task(ipadapter-${Math.random().toString(36).slice(2)})`;
})();
