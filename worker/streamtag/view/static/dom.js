// Elements, made of text alone: nothing that a job says can become markup.

/** An element. `given` are properties; of those with a dash or named in ATTRIBUTES, attributes. */
export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role" || name === "for" || name === "list") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set an element's text where it is another one: the page is laid out anew for each change. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A field with its name above it. */
export function field(name, input) {
  return el("label", {}, name, input);
}

/** A choice among [value, text] pairs. */
export function choice(pairs, chosen) {
  const select = el("select");
  fill(select, pairs, chosen);
  return select;
}

/** Give a choice other options, keeping what is chosen. */
export function fill(select, pairs, chosen = select.value) {
  const wanted = JSON.stringify(pairs);
  if (select.dataset.pairs !== wanted) {
    select.dataset.pairs = wanted;
    select.replaceChildren(...pairs.map(([value, text]) => el("option", { value }, text)));
  }
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}
