// Small things that every part of the table uses. No framework: the page must still open in ten years.

const byId = id => document.getElementById(id);

// An element with attributes (on...: listeners) and children (text or elements; empty ones are left out).
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined));
  return node;
}

// What Python packed: gzip in base64, in a script element that the browser does not run.
async function unpack(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent.trim()), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const asText = buffer => new TextDecoder().decode(buffer);

const MISSING = "–";

const printed = (value, digits, signed = false) =>
  value === null ? MISSING : `${signed && value >= 0 ? "+" : ""}${value.toFixed(digits)}`.replace("-", "−");

const thousands = value => value.toLocaleString("en");

const yesOrNo = value => (value === null ? MISSING : value ? "yes" : "no");

// SiO2 with its digits lowered.
const formulaNodes = formula =>
  formula.split(/(\d+(?:\.\d+)?)/).map(part => (/^\d/.test(part) ? make("sub", {}, part) : part));

// P6₃/mmc (194); a combining overline becomes a bar that every font sets well.
function groupNodes(number, symbols) {
  if (!number) return [MISSING];
  const symbol = symbols[number].split(/(\d\u0305)/).map(part =>
    part.endsWith("\u0305") ? make("span", { class: "bar" }, part[0]) : part);
  return [...symbol, ` (${number})`];
}
