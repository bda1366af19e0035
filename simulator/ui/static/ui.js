// @ts-check
/** Keeps what is live on a page up to date, and draws curves. The pages can be read and used without it. */

/** Parts with `data-live` are replaced by those of the same id in `page`; ticks and the focus stay. @param {Document} page */
function renew(page) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (!fresh || fresh.isEqualNode(old)) continue;
    const ticked = new Set([...old.querySelectorAll("input:checked")].map(value_of));
    const focused = old.contains(document.activeElement) ? key_of(document.activeElement) : "";
    old.replaceWith(document.adoptNode(fresh));
    for (const box of fresh.querySelectorAll("input[type=checkbox]"))
      /** @type {HTMLInputElement} */ (box).checked = ticked.has(value_of(box));
    if (focused) [...fresh.querySelectorAll("a, button, input")].find((each) => key_of(each) === focused)?.["focus"]();
  }
}

/** @param {Element} box */
const value_of = (box) => /** @type {HTMLInputElement} */ (box).value;

/** What a control is, whichever copy of it. @param {Element | null} control */
const key_of = (control) => `${control?.tagName} ${control?.id} ${control?.getAttribute("href") ?? control?.getAttribute("value")}`;

/** Draws the curve of a figure, if it is another one than before. @param {HTMLElement} figure */
async function draw(figure) {
  const answer = await fetch(figure.dataset.curve ?? "");
  const text = await answer.text();
  if (!answer.ok || text === figure.dataset.drawn) return;
  figure.dataset.drawn = text;
  const chart = JSON.parse(text);
  if (!figure.firstElementChild) figure.append(document.createElement("div")); // the same one, of which is known what it hides
  if (chart.series.length) globalThis["drawChart"](figure.firstElementChild, chart);
  else figure.children[0].textContent = "Nothing has been measured yet.";
}

const curves = () => Promise.all([...document.querySelectorAll("figure[data-curve]")].map((each) => draw(/** @type {HTMLElement} */ (each))));

/** Asks for the page again, for as long as it says that something goes on. */
async function refresh() {
  const lost = /** @type {HTMLElement} */ (document.querySelector(".lost"));
  try {
    if (!document.hidden) {
      const answer = await fetch(location.href);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok) {
        document.body.dataset.refresh = page.body.dataset.refresh ?? "";
        renew(page);
      }
      await curves();
      lost.textContent = answer.ok ? "" : page.querySelector(".problem")?.textContent ?? "This can no longer be read.";
    }
  } catch {
    lost.textContent = "No answer. Is `rumormill ui` still running?";
  }
  lost.hidden = !lost.textContent;
  later();
}

function later() {
  const seconds = Number(document.body.dataset.refresh);
  if (seconds) setTimeout(refresh, 1000 * seconds);
}

curves().catch(() => undefined);
later();
