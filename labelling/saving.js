// Talking with label.py: what is asked, and gestures on their way to the file, one after another.

const unsaved = []; // {video, change}
let sending = false;
let lost = false; // label.py does not answer
const RETRY = 1500; // ms
const LOOK = 2500; // ms between looks at what changed elsewhere

async function ask(name, question = {}) {
  const answer = await fetch(`${name}?${new URLSearchParams(question)}`);
  return told(answer);
}

async function tell(name, value) {
  const headers = { "Content-Type": "application/json" };
  return told(await fetch(name, { method: "POST", headers, body: JSON.stringify(value) }));
}

async function told(answer) {
  const value = await answer.json().catch(() => ({ error: `label.py answered ${answer.status}` }));
  if (answer.ok) return value;
  throw Object.assign(new Error(value.error || "conflict"), { conflict: value.conflict, answered: true });
}

function send(change) {
  unsaved.push({ video, change });
  flush();
}

async function flush() {
  if (sending || !unsaved.length) return;
  sending = true;
  const { video: of, change } = unsaved[0];
  try {
    const answer = await tell("edit", { video: of.id, version: of.version, change });
    of.version = answer.version;
    of.status = answer.status;
    Object.assign(state, { counts: answer.counts, classes: answer.classes });
    const row = state.videos.find(({ id }) => id === of.id);
    Object.assign(row, { status: answer.status, count: of.annotations.length });
    unsaved.shift();
    lost = false;
  } catch (error) {
    sending = false;
    await failed(error, of);
    return;
  }
  sending = false;
  if (unsaved.length) flush();
  else changed();
}

// nothing is written over silently: what stands against a gesture is said, and its state shown
async function failed(error, of) {
  if (!error.answered) {
    lost = true;
    changed();
    setTimeout(flush, RETRY);
    return;
  }
  if (error.conflict === "file") {
    askWhichFile();
    return;
  }
  const dropped = unsaved.filter((waiting) => waiting.video.id === of.id).length;
  unsaved.splice(0, Infinity, ...unsaved.filter((waiting) => waiting.video.id !== of.id));
  histories.delete(of.id);
  const reason = error.conflict ? `“${of.id}” was changed in another tab.` : `${error.message}.`;
  notify(`${reason} Its saved state is shown; ${plural(dropped, "gesture")} of this tab not.`);
  if (video.id === of.id) await openVideo(of.id, true);
}

function askWhichFile() {
  const keep = (which) => html("button", { type: "button", class: "plain", onclick: () => resolve(which) },
    which === "mine" ? "keep what is shown here" : "take the file's");
  notify(`Another program has changed ${state.file}. Both are kept, the other one in a file beside it.`,
    keep("mine"), keep("file"));
}

async function resolve(which) {
  if (which === "file") unsaved.length = 0;
  try {
    const answer = await tell("resolve", { keep: which });
    take(answer);
    histories.clear();
    notify(answer.aside ? `The other one is ${answer.aside}.` : "");
    await flush();
    await openVideo(video.id, true);
  } catch (error) {
    notify(error.message);
  }
}

function take(answer) {
  if (state.session && answer.session && state.session !== answer.session) location.reload();
  Object.assign(state, answer);
  if (active === null || !state.classes.includes(active)) active = state.classes[0] ?? null;
}

function notify(text, ...buttons) {
  const close = html("button", { type: "button", class: "plain", "aria-label": "close", onclick: () => notify("") }, "✕");
  find("notice").hidden = !text;
  find("notice").replaceChildren(html("span", {}, text), ...buttons, close);
}

// what other tabs, the copy of the video and the teaching have done meanwhile
async function look() {
  try {
    const taught = state.teaching.running;
    take(await ask("state"));
    lost = false;
    if (state.changed && find("notice").hidden) askWhichFile();
    if (video && !unsaved.length && !sending) {
      const { id, version } = video;
      const now = await ask("progress", { video: id });
      const fresh = taught && !state.teaching.running && !state.teaching.error;
      if (video.id === id && video.version === version && !unsaved.length && !busy()) {
        if (now.version !== version || fresh) await openVideo(id, true);
        else takeProgress(now);
      }
    }
    changed();
  } catch (error) {
    lost = !error.answered;
    changed();
  }
}

async function lookAgain() {
  if (!document.hidden) await look();
  setTimeout(lookAgain, LOOK);
}

addEventListener("beforeunload", (event) => {
  if (unsaved.length) event.preventDefault();
});
