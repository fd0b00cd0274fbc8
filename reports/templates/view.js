"use strict";
// A list of items with filters and search; an item in full is read when it is chosen.
const ROWS = 25; // items of one page of the list
const KEPT = 200; // chunks kept in memory
const find = id => document.getElementById(id);
const embedded = find("chunk-0") !== null;
let index, shown = [], page = 0, chosen = null, latest = 0;

async function unpacked(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
async function asked(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
const chunks = new Map();
function chunk(number) {
  if (!chunks.has(number)) {
    if (chunks.size >= KEPT) chunks.delete(chunks.keys().next().value);
    chunks.set(number, embedded ? unpacked(find(`chunk-${number}`).textContent) : asked(`chunk/${number}`));
    chunks.get(number).catch(() => chunks.delete(number));
  }
  return chunks.get(number);
}
const inFull = async item => (await chunk(Math.floor(item.number / index.chunk)))[item.number % index.chunk];

// Elements; texts of models become text nodes alone.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter(child => child !== null && child !== ""));
  return made;
}
const folded = (title, text) => text && element("details", {}, element("summary", {}, title), element("pre", {}, text));
const coloured = word => element("span", {class: word.split(" ")[0]}, word);
const nameOf = item => `${item.benchmark}/${item.id}`;

// The list.
function row(item) {
  const verdicts = item.verdicts.flatMap((word, side) => [side ? " → " : "", coloured(word)]);
  const button = element("button", {type: "button"}, ...verdicts, ` ${nameOf(item)}`,
    element("small", {}, item.question));
  if (item === chosen) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => choose(item, true));
  return element("li", {}, button);
}
function list(items, note = "") {
  shown = items;
  const pages = Math.max(1, Math.ceil(shown.length / ROWS));
  page = Math.min(Math.max(page, 0), pages - 1);
  find("list").replaceChildren(...shown.slice(page * ROWS, (page + 1) * ROWS).map(row));
  find("count").textContent = `${shown.length.toLocaleString("en")} of ${index.items.length.toLocaleString("en")} items${note}`;
  find("page").textContent = `Page ${(page + 1).toLocaleString("en")} of ${pages.toLocaleString("en")}`;
  find("before").disabled = page === 0;
  find("after").disabled = page === pages - 1;
}
function turn(by) {
  page += by;
  list(shown);
}

// Filters and search.
const FILTERS = [["Benchmark", item => [item.benchmark]], ["Status", item => item.statuses], ["Disagreement", item => item.differs]];
function filters() {
  const place = find("filters");
  const verdicts = index.labels.map((label, side) => [
    index.labels.length > 1 ? `Verdict ${side ? "on the right" : "on the left"}` : "Verdict", item => [item.verdicts[side]], label]);
  const selects = [...FILTERS.slice(0, 1), ...verdicts, ...FILTERS.slice(1)].map(([name, of, label]) => {
    const counts = new Map();
    for (const item of index.items) for (const word of of(item)) counts.set(word, (counts.get(word) || 0) + 1);
    const select = element("select", {"aria-label": label && index.labels.length > 1 ? `Verdict of ${label}` : name});
    select.add(new Option(`${name}: all`, ""));
    for (const [word, count] of counts) select.add(new Option(`${word} (${count.toLocaleString("en")})`, word));
    if (counts.size > 1 || name === "Disagreement" && counts.size) place.append(select);
    return [select, of];
  });
  const words = element("input", {type: "search", id: "words", placeholder: "Search in all texts", "aria-label": "Search in all texts"});
  place.append(words);
  let waiting;
  place.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => search(selects, words.value.trim().toLowerCase()), 150);
  });
}
async function search(selects, words) {
  const turn = ++latest;
  page = 0;
  const fitting = index.items.filter(item => selects.every(([select, of]) => !select.value || of(item).includes(select.value)));
  if (!words) return list(fitting);
  const found = new Set(fitting.filter(item => texts(item).includes(words)));
  list([...found], ", searching");
  for (let read = 0; read < fitting.length; read++) {
    const item = fitting[read];
    if (found.has(item)) continue;
    const holds = texts(await inFull(item)).includes(words);
    if (turn !== latest) return;
    if (holds) found.add(item);
    if (read % 1000 === 999) list(fitting.filter(each => found.has(each)), `, searched ${read + 1}`);
  }
  list(fitting.filter(each => found.has(each)));
}
const lowered = new WeakMap();
function texts(value) {
  if (typeof value === "string") return value.toLowerCase();
  if (typeof value !== "object" || value === null) return "";
  if (!lowered.has(value)) lowered.set(value, Object.values(value).map(texts).join("\n"));
  return lowered.get(value);
}

// One item.
async function choose(item, focus) {
  chosen = item;
  for (const button of find("list").querySelectorAll("button")) button.removeAttribute("aria-current");
  const at = shown.indexOf(item);
  if (at >= 0) {
    if (Math.floor(at / ROWS) !== page) turn(Math.floor(at / ROWS) - page);
    find("list").querySelectorAll("button")[at % ROWS].setAttribute("aria-current", "true");
  }
  history.replaceState(null, "", `#${encodeURIComponent(nameOf(item))}`);
  const place = find("item");
  try {
    const full = await inFull(item);
    if (chosen !== item) return;
    draw(item, full);
    if (focus) {
      place.focus({preventScroll: true});
      place.scrollIntoView({block: "start"});
    }
    if (!embedded) {
      const prompt = await asked(`prompt/${item.number}`);
      if (chosen === item) find("asked").replaceChildren(...asking({...full, ...prompt}));
    }
  } catch (error) {
    if (chosen === item) place.append(element("p", {class: "wrong"}, String(error.message)));
  }
}
function draw(item, full) {
  find("item").replaceChildren(
    element("div", {class: "pager"}, ...[["Previous item", () => step(-1)], ["Next item", () => step(1)], ["List", KEYS.Escape]].map(pressed)),
    element("h2", {}, nameOf(item)),
    element("p", {class: "from"}, full.about.join("; ")),
    element("div", {id: "asked"}, ...asking(full)),
    full.other_prompt.length ? folded(`Prompt of ${full.sides[1].run}, which differs`, full.other_prompt.join("\n")) : "",
    element("p", {}, "Target ", element("code", {}, full.target)),
    folded("All that the scorer was given", full.target_json),
    element("div", {class: full.sides.length > 1 ? "answers" : "answers one"}, ...full.sides.map(side)),
    element("p", {class: "from"}, "In a terminal, with every text whole: ", element("code", {}, `harness show RUN ${full.show}`)));
}
function pressed([text, act]) {
  const button = element("button", {type: "button"}, text);
  button.addEventListener("click", act);
  return button;
}
function asking(full) {
  const images = full.prompt.flatMap(message => message.parts).filter(part => "image" in part);
  const parts = full.prompt.flatMap(message => [
    full.prompt.length > 1 && message.role ? element("h3", {}, message.role) : "",
    ...message.parts.map(part => "image" in part ? picture(part, `Image ${images.indexOf(part) + 1} of ${images.length}`) : element("pre", {}, part.text))]);
  return [...parts.filter(part => part !== ""), ...(full.no_images ? [element("p", {class: "from"}, full.no_images)] : [])];
}
function picture(part, name) {
  const small = Math.max(part.width, part.height) <= 128;
  const image = element("img", {src: part.image, alt: `${name}, ${part.width} by ${part.height} pixels`,
    width: part.width, height: part.height, loading: "lazy", ...(small ? {class: "small"} : {})});
  return element("figure", {}, element("a", {href: part.image, target: "_blank", rel: "noopener"}, image));
}
function side(of) {
  return element("section", {class: "said"}, element("h3", {}, of.run),
    ...(of.answers.length ? of.answers.flatMap(answer => said(answer, of.answers.length > 1)) : [element("p", {}, "not asked")]));
}
function said(answer, repeats) {
  const read = answer.prediction === null ? "" : element("code", {}, answer.prediction);
  return [
    element("p", {}, repeats ? `Repeat ${answer.repeat}: ` : "", coloured(answer.verdict), ...(read ? [", read as ", read] : [])),
    element("ul", {class: "notes"}, ...answer.verdicts.map(line => element("li", {}, line)),
      ...(answer.flag ? [element("li", {}, answer.flag)] : [])),
    folded(answer.whole ? "The whole response, with its thought" : "Thought", answer.thought || ""),
    folded("Episode", answer.episode || ""),
    answer.answer ? element("pre", {}, answer.answer)
      : element("p", {}, answer.answer === undefined ? "No response: the infrastructure failed." : "No answer" + (answer.absence ? ` (${answer.absence.replace("_", " ")}).` : ".")),
    element("p", {class: "from"}, [answer.known, answer.from].filter(Boolean).join("; "))].filter(part => part !== "");
}

// The keyboard.
function step(by) {
  const at = chosen ? shown.indexOf(chosen) : -1;
  const next = shown[at < 0 ? page * ROWS : at + by];
  if (next) choose(next, false);
}
const KEYS = {
  "/": () => find("words").focus(),
  j: () => step(1), k: () => step(-1),
  n: () => find("after").disabled || turn(1), p: () => find("before").disabled || turn(-1),
  Escape: () => (find("list").querySelector("[aria-current]") || find("list").querySelector("button"))?.focus(),
};
document.addEventListener("keydown", event => {
  const writing = event.target.matches("input, select");
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS) || writing && event.key !== "Escape") return;
  event.preventDefault();
  KEYS[event.key]();
});
find("before").addEventListener("click", () => turn(-1));
find("after").addEventListener("click", () => turn(1));

function open() {
  const wanted = location.hash.slice(1);
  const item = wanted && index.items.find(each => encodeURIComponent(nameOf(each)) === wanted);
  if (item && item !== chosen) choose(item, false);
  return item;
}
async function start() {
  index = await unpacked(find("index").textContent);
  index.items.forEach((item, number) => { item.number = number; });
  filters();
  list(index.items);
  window.addEventListener("hashchange", open);
  if (!open() && matchMedia("(min-width: 60rem)").matches) choose(index.items[0], false);
}
start().catch(error => { find("count").textContent = `The items cannot be read: ${error.message}`; });
