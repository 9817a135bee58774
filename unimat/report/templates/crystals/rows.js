// Columns of the table, and which rows are shown in which order. Flags and space groups are of one state of the crystals,
// `data.state`: once a set is relaxed, of the relaxed ones alone, so that no filter joins two states.

// `number`: sorted as such and can be asked for by range. `show`: what a cell holds.
const COLUMNS = [
  { key: "formula", title: "Formula", show: (data, row) => formulaNodes(data.columns.formula[row] || MISSING) },
  { key: "n_atoms", title: "Atoms", number: true, show: (data, row) => data.columns.n_atoms[row] ?? MISSING },
  { key: "spacegroup_number", title: "Space group", number: true, show: (data, row) => groupNodes(data.columns.spacegroup_number[row], data.spacegroups) },
  { key: "valid", title: "Valid", show: (data, row) => yesOrNo(data.columns.valid[row]) },
  { key: "unique", title: "Unique", show: (data, row) => yesOrNo(data.columns.unique[row]) },
  { key: "novel", title: "Novel", show: (data, row) => yesOrNo(data.columns.novel[row]) },
  { key: "converged", title: "Converged", show: (data, row) => yesOrNo(data.columns.converged[row]) },
  { key: "e_form_per_atom", title: "E_f (eV/atom)", number: true, show: (data, row) => printed(data.columns.e_form_per_atom[row], 3, true) },
  { key: "decomposition_energy", title: "E_d (eV/atom)", number: true, show: (data, row) => printed(data.columns.decomposition_energy[row], 3, true) },
  { key: "verdict", title: "Verdict", show: verdictNodes },
  { key: "material_id", title: "Crystal", show: (data, row) => data.columns.material_id[row] },
];

// The verdict, and why where it is not on an energy.
function verdictNodes(data, row) {
  const why = data.texts[data.columns.why[row]];
  return [data.verdicts[data.columns.verdict[row]], why ? make("span", { class: "reason" }, why) : null];
}

const titleNodes = title => title.split(/(E_[df])/).map(part =>
  /^E_[df]$/.test(part) ? make("span", {}, make("i", {}, "E"), make("sub", {}, part[2])) : part);

// What the filters look at, made once: text in lower case, elements between blanks.
function searchable(data) {
  const { material_id: ids, formula, reasons, verdict } = data.columns;
  data.search = ids.map((id, row) =>
    `${id} ${formula[row]} ${data.verdicts[verdict[row]]} ${data.texts[reasons[row]]}`.toLowerCase());
  data.elementsOf = formula.map(text => ` ${(text.match(/[A-Z][a-z]?/g) || []).join(" ")} `);
}

// "Si O": both; "Si -O": without oxygen; "Si O only": no others.
function elementTest(asked) {
  const words = asked.split(/[\s,]+/).filter(Boolean);
  const only = words.some(word => word.toLowerCase() === "only");
  const named = words.filter(word => word.toLowerCase() !== "only");
  const symbol = word => word[0].toUpperCase() + word.slice(1).toLowerCase();
  const wanted = named.filter(word => !word.startsWith("-")).map(symbol);
  const refused = named.filter(word => word.length > 1 && word.startsWith("-")).map(word => symbol(word.slice(1)));
  return elements =>
    wanted.every(each => elements.includes(` ${each} `)) &&
    !refused.some(each => elements.includes(` ${each} `)) &&
    (!only || elements.trim().split(" ").every(each => wanted.includes(each)));
}

// Rows that pass every filter that is set; `asked` as the form holds it.
function filtered(data, asked) {
  const { columns } = data;
  const text = asked.text.trim().toLowerCase();
  const elements = asked.contains.trim() ? elementTest(asked.contains) : null;
  const [low, high] = [asked.low, asked.high].map(each => (each === "" ? null : Number(each)));
  const ranged = columns[asked.column];
  const passes = row =>
    (!text || data.search[row].includes(text)) &&
    (!elements || elements(data.elementsOf[row])) &&
    (asked.verdict === "" || columns.verdict[row] === Number(asked.verdict)) &&
    (asked.flag === "" || columns[asked.flag.slice(1)][row] === Number(asked.flag[0])) &&
    (low === null || (ranged[row] !== null && ranged[row] >= low)) &&
    (high === null || (ranged[row] !== null && ranged[row] <= high));
  return columns.material_id.map((_, row) => row).filter(passes);
}

const collator = new Intl.Collator("en", { numeric: true });

// Missing values come last in either direction; like ones keep the order of the file.
function sorted(rows, values, number, descending) {
  const sign = descending ? -1 : 1;
  const absent = value => value === null || value === "";
  return rows.slice().sort((a, b) => {
    const [one, other] = [values[a], values[b]];
    if (absent(one) || absent(other)) return absent(one) - absent(other) || a - b;
    return sign * (number ? one - other : typeof one === "number" ? one - other : collator.compare(one, other)) || a - b;
  });
}
