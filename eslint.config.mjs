/* Rules for javascript/: plain scripts, loaded by the web UI in the order of their names, with one global name. */

const BROWSER = [
    ..."AbortController Blob CSS ClipboardEvent DataTransfer DragEvent Event File FileReader URL".split(" "),
    ..."addEventListener cancelAnimationFrame clearTimeout confirm createImageBitmap document fetch indexedDB".split(
        " ",
    ),
    ..."location prompt requestAnimationFrame setTimeout structuredClone atob HTMLTextAreaElement Node".split(" "),
    ..."getComputedStyle localStorage navigator performance window HTMLElement HTMLInputElement ResizeObserver TextDecoder".split(
        " ",
    ),
];
const WEB_UI = ["getTranslation", "gradioApp", "onAfterUiUpdate", "onOptionsChanged", "onUiLoaded", "opts"];

export default [
    {
        files: ["javascript/*.js"],
        linterOptions: {reportUnusedDisableDirectives: "error"},
        languageOptions: {
            ecmaVersion: 2022,
            sourceType: "script",
            globals: Object.fromEntries([...BROWSER, ...WEB_UI, "ipAdapter"].map((name) => [name, "readonly"])),
        },
        rules: {
            complexity: ["error", 10],
            "max-depth": ["error", 3],
            "max-lines": ["error", 220],
            "max-lines-per-function": ["error", 40],
            "max-params": ["error", 6],
            "no-constant-condition": "error",
            "no-dupe-keys": "error",
            "no-empty": "error",
            "no-shadow": "error",
            "no-undef": "error",
            "no-unreachable": "error",
            "no-unsafe-finally": "error",
            "no-unused-expressions": ["error", {allowTernary: true, allowShortCircuit: true}],
            "no-unused-vars": ["error", {ignoreRestSiblings: true}],
            "no-use-before-define": ["error", {functions: false, variables: false}],
            "no-useless-escape": "error",
            "no-var": "error",
            "prefer-const": "error",
            eqeqeq: "error",
        },
    },
];
