// Requests that answer with JSON, or with a problem in words.

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

// Statuses after which the same request may succeed; 0 means no answer.
const TEMPORARY = new Set([0, 429, 502, 503, 504]);

/** An unsuccessful answer, as problem details (RFC 9457). */
export class Problem extends Error {
  constructor(status, title, detail, retryAfterMs = 0) {
    super(detail);
    Object.assign(this, { status, title, detail, retryAfterMs });
  }

  get isTemporary() {
    return TEMPORARY.has(this.status);
  }

  get inWords() {
    return [this.title, this.detail].filter(Boolean).map(asSentence).join(" ");
  }
}

/** Send one request; return its JSON, if any, and how long to wait.
 *  Throws a Problem, or on abort. */
export async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { cache: "no-store", ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "The service cannot be reached", "It may be stopped, or the network may be down");
  }
  const retryAfterMs = 1_000 * (Number(response.headers.get("Retry-After")) || 0);
  const body = await response.json().catch(() => null);
  if (response.status === 204 || (response.ok && body !== null)) return { body, retryAfterMs };
  const title = body?.title ?? `The service answered ${response.status} ${response.statusText}`;
  throw new Problem(response.status, title, body?.detail ?? "", retryAfterMs);
}

/** Ask until the answer is not a temporary failure; report each failure and the pause after it. */
export async function persist(url, options, tell) {
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS)) {
    try {
      return await ask(url, options);
    } catch (error) {
      if (!error.isTemporary) throw error;
      const pauseMs = Math.max(retryMs, error.retryAfterMs);
      tell(error, pauseMs);
      await pause(pauseMs, options.signal);
    }
  }
}

export async function pause(ms, signal) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  signal?.throwIfAborted();
}

const asSentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
