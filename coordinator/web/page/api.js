/* What is asked of the JSON API. The admin token lives in this file's memory alone: sessionStorage would be written to
 * disk by browsers that restore sessions. */

let token = "";

export const hasToken = () => token !== "";

export function setToken(text) {
    token = text;
}

/* {status, body}: status 0 where no answer came, and body.error says what is wrong. */
async function ask(path, options) {
    const timeout = AbortSignal.timeout(20000);
    try {
        const answer = await fetch(`api/v1/${path}`, { ...options, cache: "no-store", signal: timeout });
        const body = await answer.json().catch(() => ({}));
        if (!answer.ok && !body.error) {
            body.error = `The coordinator answers ${answer.status} ${answer.statusText}`.trim();
        }
        return { status: answer.status, body };
    } catch (error) {
        const why = error.name === "TimeoutError" ? "did not answer within 20 s" : "cannot be reached";
        return { status: 0, body: { error: `The coordinator ${why}.` } };
    }
}

export const get = (path) => ask(path, {});

export function post(path, body) {
    const headers = { "Content-Type": "application/json" };
    if (token !== "") {
        headers.Authorization = `Bearer ${token}`;
    }
    return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}
