// Draws the gallery and sorts the table. Whatever came from a model is only ever textContent.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const PAGE = 24;

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // ---- the summary table
  function sortTable(table, column, header) {
    const body = table.tBodies[0];
    const descending = header.getAttribute("aria-sort") === "ascending"
      || (header.getAttribute("aria-sort") === null && column > 1);
    const value = (row) => row.cells[column].dataset.sort;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = column > 1 ? Number(x) - Number(y) : x.localeCompare(y);
      return descending ? -order : order;
    };
    body.append(...Array.from(body.rows).sort(compare));
    for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
      header.querySelector("button").addEventListener("click", () => sortTable(table, column, header));
    });
  }

  // ---- "scroll sideways" stands above a table only where something lies beyond the edge
  const wide = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      target.previousElementSibling.hidden = target.scrollWidth <= target.clientWidth;
    }
  });
  for (const region of document.querySelectorAll(".scroll")) wide.observe(region);

  // ---- one card
  const ARROWS = { right: "▶", down: "▼", left: "◀", up: "▲" };

  function mark(picture, item, row, column, className, off, arrow) {
    if (!Number.isInteger(row) || !Number.isInteger(column)) return;
    if (row < 0 || column < 0 || row >= item.rows || column >= item.columns) return;
    const node = make("span", `mark ${className}${off ? " off" : ""}`, arrow);
    node.style.left = `${(100 * column) / item.columns}%`;
    node.style.top = `${(100 * row) / item.rows}%`;
    node.style.width = `${100 / item.columns}%`;
    node.style.height = `${100 / item.rows}%`;
    picture.append(node);
  }

  function overlay(picture, item, answer) {
    for (const old of picture.querySelectorAll(".mark")) old.remove();
    if (!answer || !answer.analysis) return;
    const [seen, told] = [answer.analysis, answer.told || {}];
    mark(picture, item, seen.target_row, seen.target_column, "target", told.target === false);
    const lost = ["agent_row", "agent_column", "agent_direction"].some((f) => told[f] === false);
    mark(picture, item, seen.agent_row, seen.agent_column, "agent", lost, ARROWS[seen.agent_direction]);
  }

  function bars(item, answer) {
    const names = data.actions[item.env];
    const many = item.optimal ? item.optimal.reduce((a, b) => a + b, 0) : 0;
    const box = make("div", "bars");
    names.forEach((name, index) => {
      const optimal = Boolean(item.optimal && item.optimal[index]);
      const plan = optimal ? 1 / many : 0;
      box.append(make("span", optimal ? "optimal" : "", name));
      const bar = make("span", "bar");
      const stated = make("b");
      stated.style.width = `${100 * answer.p[index]}%`;
      bar.append(stated);
      if (item.optimal) {
        const hollow = make("i", optimal ? "" : "zero");
        hollow.style.width = `${100 * plan}%`;
        bar.append(hollow);
      }
      box.append(bar, make("span", "p", `${(100 * answer.p[index]).toFixed(0)}%`));
    });
    return box;
  }

  const OUTCOMES = { right: "✓ right", wrong: "✗ wrong", failed: "– no label", unjudged: "" };

  function answerBlock(item, answer, picture) {
    const block = make("div", "answer");
    const head = make("div", "head");
    const drawn = picture && answer.analysis;
    const who = make(drawn ? "button" : "span", "who");
    who.append(make("bdi", "", data.teachers[answer.teacher]));
    if (drawn) {
      who.type = "button";
      who.title = "Show what it sees on the picture";
      who.addEventListener("click", () => {
        overlay(picture, item, answer);
        const all = block.parentNode.querySelectorAll(".who[aria-pressed]");
        for (const other of all) other.setAttribute("aria-pressed", String(other === who));
      });
      who.setAttribute("aria-pressed", "false");
    }
    head.append(who, make("span", `outcome ${answer.outcome}`, OUTCOMES[answer.outcome]));
    if (answer.turns) {
      const open = make("button", "open", "Transcript");
      open.type = "button";
      open.addEventListener("click", () => showTranscript(item, answer));
      head.append(open);
    }
    block.append(head);
    if (answer.p) block.append(bars(item, answer));
    else block.append(make("p", "note", `${answer.failure.replace("_", " ")}: ${answer.message}`));
    return block;
  }

  function card(item, answers) {
    const pair = beside.value && answers.length === 2;
    const box = make("article", pair ? "card pair" : "card");
    box.id = `state-${item.key}`;
    box.tabIndex = -1;
    box.setAttribute("aria-label", `State ${item.key}: ${item.mission}`);
    const top = make("div", "top");
    let picture = null;
    if (item.picture) {
      picture = make("div", "picture");
      const image = make("img");
      image.src = `data:image/png;base64,${item.picture}`;
      image.alt = `State ${item.key}: ${item.mission}`;
      picture.append(image);
      top.append(picture);
    }
    const about = make("div", "about");
    about.append(make("strong", "", item.mission));
    const where = make("p", "note", `${data.envs[item.env].replace("MiniGrid-", "")} `);
    const link = make("a", "link", item.key);
    link.href = `#${box.id}`;
    link.title = "Link to this state";
    where.append(link);
    about.append(where);
    if (item.carrying) about.append(make("p", "", `carries a ${item.carrying}`));
    if (item.optimal) {
      const best = data.actions[item.env].filter((_, index) => item.optimal[index]).join(" or ");
      const far = item.distance === null ? "" : `, ${item.distance} to go`;
      about.append(make("p", "", `best: ${best}${far}`));
    }
    top.append(about);
    box.append(top);
    const blocks = answers.map((answer) => answerBlock(item, answer, picture));
    const group = make("div", "answers");
    group.append(...blocks);
    box.append(group);
    const first = blocks.find((block) => block.querySelector("button.who"));
    if (first) first.querySelector("button.who").click();
    return box;
  }

  // ---- transcripts
  const dialog = byId("transcript");

  function showTranscript(item, answer) {
    byId("transcript-title").textContent = `${data.teachers[answer.teacher]}: ${item.mission}`;
    const nodes = [];
    for (const [role, number] of answer.turns) {
      const [text, left] = data.texts[number];
      const turn = make("div", role === "assistant" ? "assistant" : "");
      turn.append(make("h3", "", role));
      const words = make("pre", "", text);
      words.dir = "auto";
      turn.append(words);
      if (left) {
        const more = left.toLocaleString("en");
        turn.append(make("p", "note", `${more} more characters: the full text is in labels.parquet.`));
      }
      nodes.push(turn);
    }
    byId("turns").replaceChildren(...nodes);
    dialog.showModal();
    dialog.scrollTop = 0;
  }
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---- filters
  const [outcome, teacher, beside, task] = ["outcome", "teacher", "beside", "task"].map(byId);

  function option(select, value, text) {
    const node = make("option", "", text);
    node.value = value;
    select.append(node);
  }
  for (const select of [teacher, beside]) {
    data.teachers.forEach((name, index) => option(select, index, name));
  }
  for (const name of new Set(data.tasks)) {
    option(task, `task ${name}`, name);
    const own = data.envs.filter((_, index) => data.tasks[index] === name);
    if (own.length > 1) {
      own.forEach((env) => option(task, `env ${env}`, `\u2003${env.replace("MiniGrid-", "")}`));
    }
  }

  function inTask(item) {
    const value = task.value;
    return !value || value === `task ${data.tasks[item.env]}` || value === `env ${data.envs[item.env]}`;
  }
  function matches(item) {
    if (!inTask(item)) return null;
    const wanted = [teacher, beside].map((select) => select.value).filter(Boolean).map(Number);
    const own = item.answers.filter((a) => !teacher.value || wanted.includes(a.teacher));
    if (teacher.value) own.sort((a, b) => wanted.indexOf(a.teacher) - wanted.indexOf(b.teacher));
    const hit = !outcome.value || own.some((a) => a.outcome === outcome.value)
      || (outcome.value === "differ" && differ(own));
    return own.length && hit ? own : null;
  }
  function differ(answers) {
    const chosen = answers.filter((a) => a.p).map((a) => a.p.indexOf(Math.max(...a.p)));
    return new Set(chosen).size > 1;
  }

  let waiting = [];
  function showMore() {
    const next = waiting.splice(0, PAGE);
    byId("cards").append(...next.map(([item, answers]) => card(item, answers)));
    byId("more").hidden = waiting.length === 0;
    byId("more").textContent = `Show more (${waiting.length} left)`;
  }
  function filter() {
    waiting = [];
    for (const item of data.cases) {
      const answers = matches(item);
      if (answers) waiting.push([item, answers]);
    }
    byId("count").textContent = `${waiting.length} of ${data.cases.length} states`;
    byId("cards").replaceChildren();
    showMore();
  }
  for (const select of [outcome, teacher, beside, task]) select.addEventListener("change", filter);

  // ---- one state: by its link, and from one to the next by the arrow keys
  function go(node) {
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
  }
  function goToNamed() {
    const name = decodeURIComponent(location.hash.slice(1));
    if (!name.startsWith("state-")) return;
    if (!data.cases.some((item) => `state-${item.key}` === name)) return;
    const shown = () => byId(name);
    const ahead = () => waiting.some(([item]) => `state-${item.key}` === name);
    if (!shown() && !ahead()) {
      for (const select of [outcome, teacher, beside, task]) select.value = "";
      filter();
    }
    while (!shown() && waiting.length) showMore();
    go(shown());
  }
  window.addEventListener("hashchange", goToNamed);
  byId("cards").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const own = event.target.closest(".card");
    if (!step || !own || event.altKey || event.ctrlKey || event.metaKey) return;
    if (step > 0 && !own.nextElementSibling) showMore();
    const next = step > 0 ? own.nextElementSibling : own.previousElementSibling;
    if (next) go(next);
    event.preventDefault();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", showMore);
  filter();
  goToNamed();
})();
