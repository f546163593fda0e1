// Keep a connection's page true: count down, ask every two seconds, and say what changed.
"use strict";

const facts = document.querySelector("[data-live]");

if (facts) {
  const show = (name) => document.querySelector(`[data-show="${name}"]`);
  const words = JSON.parse(facts.dataset.words);
  let ahead = Number(facts.dataset.now) - Date.now() / 1000;
  let previous = null;

  const countDown = () => {
    const left = Math.round(Number(show("token_expires_at").dataset.at) - (Date.now() / 1000 + ahead));
    const minutes = Math.floor(left / 60);
    show("left").textContent = left <= 0 ? "(over)" : minutes ? `(in ${minutes} min ${left % 60} s)` : `(in ${left} s)`;
  };

  const say = (sentence) => {
    const changes = show("changes");
    if (!changes.dataset.begun) changes.replaceChildren();
    changes.dataset.begun = "yes";
    const line = document.createElement("li");
    line.textContent = `${new Date().toLocaleTimeString()}  ${sentence}`;
    changes.prepend(line);
  };

  const compare = (state) => {
    if (previous && state.version !== previous.version) say(`Version ${state.version}: new tokens are in.`);
    if (previous && (state.status !== previous.status || state.reason !== previous.reason)) {
      say(`${words[state.status] ?? state.status}. Reload the page to act on it.`);
    }
    previous = state;
  };

  const draw = (state) => {
    ahead = state.now - Date.now() / 1000;
    show("token_expires_at").dataset.at = state.token_expires_at;
    show("token_expires_at").textContent = state.expires;
    const renewal = show("refresh_at"); // not there once a consent has run out
    if (renewal) renewal.textContent = state.renewal;
    show("version").textContent = state.version;
    show("status").textContent = words[state.status] ?? state.status;
    show("status").className = `chip ${state.status}`;
  };

  const ask = async () => {
    try {
      const answer = await fetch(facts.dataset.live, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const state = await answer.json();
      draw(state);
      compare(state);
    } catch { /* the next one asks again */ }
  };

  countDown();
  ask();
  setInterval(countDown, 1000);
  setInterval(ask, 2000);
}
