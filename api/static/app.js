// Choose images, upload them, follow their jobs. Nothing is stored in the browser. Text from
// outside goes into the page as textContent only.

import { Problem, ask, pause, persist } from "./http.js";

const FIRST_POLL_MS = 100;
const POLL_BACKOFF = 1.5;
const WATCH_MS = 15_000;
const WATCH_IN_TROUBLE_MS = 2_000;

const FINISHED = new Set(["done", "failed", "cancelled"]);
const CANCELLABLE = new Set(["pending", "processing"]);

const IN_WORDS = {
  waiting: "Waiting to upload",
  pending: "In the queue",
  processing: "Being classified",
  cancelling: "Being cancelled",
  cancelled: "Cancelled",
};

let models = []; // as GET /models answered last
let samples = {}; // by model: the paths of images to try
let lastJobId = "ID"; // in the commands

const byId = (id) => document.getElementById(id);
const form = byId("submission");
const { image: imageField, model: modelField, top_k: topKField } = form.elements;

// The chosen images

/** Add dropped or pasted files to those in the field, the only place that holds them. */
function choose(files) {
  const all = new DataTransfer();
  for (const file of [...imageField.files, ...files]) all.items.add(file);
  imageField.files = all.files;
  showChosen();
}

function showChosen() {
  const files = [...imageField.files];
  byId("chosen").replaceChildren(...files.map((file) => element("li", file.name)));
  byId("upload").textContent = files.length > 1 ? `Upload ${files.length} images` : "Upload";
}

// The samples

async function loadSamples() {
  ({ body: samples } = await persist("/samples", {}, () => {}));
  showSamples();
}

/** Offer the samples of the chosen model. */
function showSamples() {
  const paths = samples[modelField.value] ?? [];
  const shown = [...byId("sample-list").querySelectorAll("img")];
  byId("samples").hidden = paths.length === 0;
  // New images would blink.
  if (shown.map((image) => image.getAttribute("src")).join() === paths.join()) return;
  byId("sample-list").replaceChildren(...paths.map(sampleItem));
}

function sampleItem(path) {
  const { root, parts } = fromTemplate("sample");
  const name = path.split("/").at(-1);
  parts.image.src = path;
  parts.button.setAttribute("aria-label", `Upload ${name}`);
  parts.button.addEventListener("click", async () => {
    try {
      uploadAll([createTicket(await sampleFile(path, name), options())]);
    } catch (error) {
      showReadiness(error);
    }
  });
  return root;
}

async function sampleFile(path, name) {
  const response = await fetch(path);
  if (!response.ok) throw new Problem(response.status, "The sample cannot be loaded", name);
  const content = await response.blob();
  return new File([content], name, { type: content.type });
}

// Tickets

/** Add a ticket for one image and its options at the top of the list. */
function createTicket(file, options) {
  const { root, parts } = fromTemplate("ticket");
  const abort = new AbortController();
  const ticket = { file, options, root, parts, signal: abort.signal, url: "" };
  const url = URL.createObjectURL(file);
  parts.name.textContent = file.name;
  parts.preview.addEventListener("error", () => parts.preview.remove());
  parts.preview.addEventListener("load", () => {
    parts.preview.classList.toggle("tiny", parts.preview.naturalWidth < 100);
  });
  parts.preview.src = url;
  parts.cancel.setAttribute("aria-label", `Cancel ${file.name}`);
  parts.cancel.addEventListener("click", () => {
    abort.abort(); // only the answer to the cancellation decides what is shown
    cancel(ticket).catch((problem) => showProblem(ticket, problem));
    parts.remove.focus();
  });
  parts.remove.setAttribute("aria-label", `Remove ${file.name} from this page`);
  parts.remove.addEventListener("click", () => {
    abort.abort();
    URL.revokeObjectURL(url);
    const neighbour = root.nextElementSibling ?? root.previousElementSibling;
    root.remove();
    (neighbour?.querySelector("button") ?? imageField).focus();
  });
  showState(ticket, "waiting");
  byId("tickets").prepend(root);
  return ticket;
}

async function upload(ticket) {
  const body = new FormData();
  body.append("image", ticket.file, ticket.file.name);
  for (const [name, value] of Object.entries(ticket.options)) body.append(name, value);
  // If the answer to the first try is lost, the next one finds the job instead of making another.
  const headers = { "Idempotency-Key": newKey() };
  const options = { method: "POST", body, headers, signal: ticket.signal };
  const { body: job } = await persist("/jobs", options, (problem, pauseMs) =>
    showTrouble(ticket, "Not uploaded yet", problem, pauseMs),
  );
  ticket.parts.link.textContent = job.id;
  ticket.parts.link.href = ticket.url = jobUrl(job.id);
  lastJobId = job.id;
  showCommands();
  showJob(ticket, job);
  return job;
}

/** Make 128 random bits; crypto.randomUUID exists on secure origins only. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Poll until the job has ended: soon at first, then as seldom as Retry-After says. */
async function follow(ticket, job) {
  let pauseMs = FIRST_POLL_MS;
  while (!FINISHED.has(job.state)) {
    await pause(pauseMs, ticket.signal);
    const answer = await persist(jobUrl(job.id), { signal: ticket.signal }, (problem, retryMs) =>
      showTrouble(ticket, "The result is not known yet", problem, retryMs),
    );
    job = answer.body;
    showJob(ticket, job);
    pauseMs = Math.min(POLL_BACKOFF * pauseMs, answer.retryAfterMs || Infinity);
  }
}

/** Cancel the job. If it has just ended, this deletes it, which looks the same here. */
async function cancel(ticket) {
  showState(ticket, "cancelling");
  await persist(ticket.url, { method: "DELETE" }, (problem, pauseMs) =>
    showTrouble(ticket, "Not cancelled yet", problem, pauseMs),
  );
  showState(ticket, "cancelled");
}

/** Upload images one by one, which spares a busy service, and follow each meanwhile. */
async function uploadAll(tickets) {
  for (const ticket of tickets) {
    try {
      const job = await upload(ticket);
      follow(ticket, job).catch((error) => showEnd(ticket, error));
    } catch (error) {
      showEnd(ticket, error);
    }
  }
}

function showJob(ticket, job) {
  if (job.state === "done") showResult(ticket, job);
  else if (job.state === "failed") showProblem(ticket, job.error);
  else showState(ticket, job.state);
}

function showState(ticket, state, headline = IN_WORDS[state] ?? state, detail = "") {
  ticket.root.dataset.state = state;
  ticket.parts.detail.textContent = detail;
  ticket.parts.cancel.hidden = !CANCELLABLE.has(state);
  // Screen readers read each change, so include the name, and change only what differs.
  if (ticket.parts.headline.lastChild?.textContent === headline) return;
  const name = element("span", `${ticket.file.name}: `, "unseen");
  ticket.parts.headline.replaceChildren(name, headline);
}

function showTrouble(ticket, headline, problem, pauseMs) {
  showState(ticket, "troubled", headline, `${problem.inWords} Next try in ${pauseMs / 1_000} s.`);
}

function showProblem(ticket, { title, detail }) {
  showState(ticket, "failed", title, detail);
}

function showEnd(ticket, error) {
  if (ticket.signal.aborted) return; // removed or cancelled by the user
  showProblem(ticket, error instanceof Problem ? error : { title: "Error", detail: String(error) });
}

function showResult(ticket, { result, attempts, image }) {
  const [best] = result.predictions;
  showState(ticket, "done", best ? best.label : "No labels");
  ticket.parts.predictions.replaceChildren(...result.predictions.map(predictionItem));
  showFacts(ticket.parts.facts, {
    Model: `${result.model} ${result.model_version}`,
    Queue: inTime(result.queue_ms),
    Inference: inTime(result.inference_ms),
    Image: `${image.format}, ${image.width} × ${image.height}`,
    ...(attempts > 1 && { Attempts: attempts }),
  });
}

function predictionItem({ label, probability }) {
  const { root, parts } = fromTemplate("prediction");
  parts.label.textContent = label;
  parts.probability.textContent = inPercent(probability);
  parts.bar.style.width = `${100 * probability}%`;
  return root;
}

function showFacts(list, facts) {
  const pairs = Object.entries(facts).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", value));
    return pair;
  });
  list.replaceChildren(...pairs);
}

// The service: whether it is ready, and which models it has

async function watch() {
  for (;;) {
    if (!document.hidden) showReadiness(await trouble());
    await pause(byId("readiness").dataset.state === "ready" ? WATCH_MS : WATCH_IN_TROUBLE_MS);
  }
}

async function trouble() {
  const answers = await Promise.allSettled([
    ask("/readyz"),
    ask("/models").then(({ body }) => showModels(body.models)),
  ]);
  return answers.find(({ status }) => status === "rejected")?.reason;
}

function showReadiness(problem) {
  const readiness = byId("readiness");
  const text = problem ? `${problem.inWords ?? problem} Trying again.` : "Ready";
  readiness.dataset.state = problem ? "trouble" : "ready";
  if (readiness.textContent !== text) readiness.textContent = text;
}

function showModels(answered) {
  // An open list would close if it were rebuilt each time.
  if (JSON.stringify(answered) === JSON.stringify(models)) return;
  models = answered;
  const chosen = modelField.value;
  modelField.replaceChildren(...models.map(modelOption)); // the default comes first
  const option = [...modelField.options].find(({ value }) => value === chosen);
  if (option && !option.disabled) modelField.value = chosen;
  showChoice();
}

function modelOption({ name, state }) {
  const option = new Option(state === "ready" ? name : `${name} (${state})`, name);
  option.disabled = state === "unavailable";
  return option;
}

/** Describe the chosen model, and say why others are unavailable. */
function showChoice() {
  const chosen = models.find(({ name }) => name === modelField.value);
  const labels = chosen?.labels && `${chosen.labels} labels`;
  const about = [chosen?.description, labels].filter(Boolean).join(" · ");
  const missing = models
    .filter(({ state }) => state === "unavailable")
    .map(({ name, reason }) => `${name} is unavailable: ${reason ?? "no reason given"}`);
  byId("model-note").replaceChildren(...[about, ...missing].map((note) => element("p", note)));
  showSamples();
  showCommands();
}

function showCommands() {
  const fields = Object.entries(options()).map(([name, value]) => ` -F ${name}=${value}`);
  byId("commands").textContent =
    `curl -F image=@photo.jpg${fields.join("")} \\\n  ${location.origin}/jobs\n` +
    `curl ${location.origin}${jobUrl(lastJobId)}`;
}

function options() {
  return { ...(modelField.value && { model: modelField.value }), top_k: topKField.value };
}

// Words and elements

const inTime = (ms) => (ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(1)} s`);
const inPercent = (share) =>
  share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
const jobUrl = (id) => `/jobs/${encodeURIComponent(id)}`;

function element(tag, text = "", className = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className });
}

/** Copy a template; return its element and, by name, the parts to fill in. */
function fromTemplate(id) {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const parts = [...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]);
  return { root, parts: Object.fromEntries(parts) };
}

// What the user does

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = options();
  const tickets = [...imageField.files].map((file) => createTicket(file, asked));
  imageField.value = "";
  showChosen();
  uploadAll(tickets);
});
form.addEventListener("input", showChoice);
form.addEventListener("change", showChoice); // not every browser sends "input" for a list
imageField.addEventListener("change", showChosen);

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragged-over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dragged-over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragged-over");
  choose(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length > 0) choose(event.clipboardData.files);
});

showChosen(); // a browser that goes back restores the field
showChoice();
loadSamples();
watch();
