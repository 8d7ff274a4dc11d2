/* The references used last. They are kept in this browser only (IndexedDB), where other users of the web UI cannot see
   them; without it, such as in a private window of some browsers, they last until the page is closed. */

(() => {
    const MOST = 30;
    const SIDE = 96; // pixels of a thumbnail's longer side
    const [NAME, STORE] = ["ipadapter", "recent"];

    /* Return the result of a database's request. */
    function answered(request) {
        return new Promise((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
        });
    }

    async function opened() {
        const request = indexedDB.open(NAME, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE, {keyPath: "key"});
        return answered(request);
    }

    /* Return a number that is different for different texts. */
    function digest(text) {
        let [one, other] = [0xdeadbeef, 0x41c6ce57];
        for (let i = 0; i < text.length; i++) {
            const code = text.charCodeAt(i);
            one = Math.imul(one ^ code, 2654435761);
            other = Math.imul(other ^ code, 1597334677);
        }
        return `${text.length}-${one >>> 0}-${other >>> 0}`;
    }

    async function thumbnailOf(url) {
        const image = await ipAdapter.loaded(url);
        const size = ipAdapter.sizeWithin(image.naturalWidth, image.naturalHeight, SIDE);
        const [canvas, context] = ipAdapter.canvasOf(...size);
        context.drawImage(image, 0, 0, ...size);
        return canvas.toDataURL("image/webp", 0.8);
    }

    class RecentStore {
        constructor() {
            this.all = []; // {key, name, thumbnail, blob, used}, the last used first
            this.changed = new Set(); // functions to call when it has changed
        }

        /* Read what was kept, once. */
        read() {
            this.ready ||= this.open();
            return this.ready;
        }

        async open() {
            try {
                this.database = await opened();
                this.all = await answered(this.database.transaction(STORE).objectStore(STORE).getAll());
            } catch {
                this.database = null; // they last as long as the page
            }
            this.sort();
            this.tell();
        }

        sort() {
            this.all.sort((one, other) => other.used - one.used);
        }

        tell() {
            this.changed.forEach((act) => act());
        }

        /* Let a function change the database, if there is one that takes it; it may be full. */
        async write(act) {
            if (!this.database) return;
            try {
                const transaction = this.database.transaction(STORE, "readwrite");
                act(transaction.objectStore(STORE));
            } catch {
                this.database = null;
            }
        }

        /* Remember a picture, given as a data URL. */
        async add(url, name) {
            await this.read();
            const key = digest(url);
            const known = this.all.find((each) => each.key === key);
            const entry = known || {
                key,
                name,
                thumbnail: await thumbnailOf(url),
                blob: await (await fetch(url)).blob(),
            };
            entry.used = Date.now();
            if (!known) this.all.push(entry);
            this.sort();
            const dropped = this.all.splice(MOST);
            await this.write((store) => {
                store.put(entry);
                dropped.forEach((each) => store.delete(each.key));
            });
            this.tell();
        }

        async clear() {
            this.all = [];
            await this.write((store) => store.clear());
            this.tell();
        }
    }

    ipAdapter.recent = new RecentStore();
})();
