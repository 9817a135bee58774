// One crystal: drawn beside the test crystal of its composition, with what the run found out about it.

class CrystalDialog {
  constructor(dialog, data) {
    Object.assign(this, { dialog, data, row: null, state: "relaxed" });
    this.title = dialog.querySelector("h3");
    this.facts = dialog.querySelector(".about");
    this.panels = [...dialog.querySelectorAll(".panel")];
    this.views = this.panels.map(panel => new CrystalView(panel.querySelector(".view"), data.elements));
    dialog.addEventListener("keydown", event => this.step(event));
    dialog.addEventListener("close", () => this.closed());
    dialog.querySelector("[name=before]").addEventListener("click", () => this.go(-1));
    dialog.querySelector("[name=after]").addEventListener("click", () => this.go(1));
    dialog.querySelector("[name=close]").addEventListener("click", () => dialog.close());
    this.choice = dialog.querySelector("[name=state]");
    this.choice.addEventListener("change", () => {
      this.state = this.choice.value;
      this.show(this.row);
    });
  }

  async show(row) {
    this.row = row;
    const { columns } = this.data;
    this.geometry ??= unpack("crystal-geometry").then(buffer => readGeometry(buffer, this.data.geometries));
    history.replaceState(null, "", `#crystal=${encodeURIComponent(columns.material_id[row])}`);
    this.title.replaceChildren(...formulaNodes(columns.formula[row] || "No crystal"), " ",
      make("span", { class: "id" }, columns.material_id[row]));
    this.facts.replaceChildren(...this.about(row));
    this.showMoves(row);
    this.dialog.querySelector("[name=before]").disabled = this.table.neighbour(row, -1) === null;
    this.dialog.querySelector("[name=after]").disabled = this.table.neighbour(row, 1) === null;
    if (!this.dialog.open) this.dialog.showModal();
    const cellOf = await this.geometry;
    await Promise.all([this.showOwn(row, cellOf), this.showPartner(row, cellOf)]);
  }

  async showOwn(row, cellOf) {
    const { columns, spacegroups } = this.data;
    const states = { relaxed: "relaxed", sampled: "as generated" };
    const there = Object.keys(states).filter(state => columns[state][row] >= 0);
    this.panels[0].hidden = there.length === 0;
    if (!there.length) return;
    const state = there.includes(this.state) ? this.state : there[0];
    this.choice.replaceChildren(...there.map(each => make("option", { value: each, selected: each === state }, states[each])));
    const ending = state === this.data.state ? "" : "_generated";
    const group = groupNodes(columns[`spacegroup_number${ending}`][row], spacegroups);
    await this.draw(0, cellOf(columns[state][row]), columns.material_id[row], group, `_${state}`, states[state],
      this.ofTheDrawn(row, ending));
  }

  // Which element took the place of which; the picture is the page's own.
  showMoves(row) {
    const moves = this.data.origins?.[row]?.moves ?? null;
    const figure = this.dialog.querySelector(".origin");
    figure.hidden = moves === null;
    if (moves !== null) figure.innerHTML = this.data.moves[moves];
  }

  async showPartner(row, cellOf) {
    const partner = this.data.partners[this.data.columns.partner[row]];
    this.panels[1].hidden = !partner;
    this.dialog.querySelector(".no-partner").hidden = Boolean(partner) || !this.data.columns.formula[row];
    if (!partner) return;
    const judged = partner.decomposition_energy === null ? [] :
      ["; ", ...titleNodes("E_d"), ` ${printed(partner.decomposition_energy, 3, true)} eV/atom after relaxation`];
    this.panels[1].querySelector(".chosen").replaceChildren(`${partner.material_id}, ${partner.chosen_by}`, ...judged);
    const group = groupNodes(partner.spacegroup_number, this.data.spacegroups);
    await this.draw(1, cellOf(partner.geometry), partner.material_id, group, "", this.panels[1].getAttribute("aria-label").toLowerCase());
  }

  // What was judged of the crystal in the state that is drawn.
  ofTheDrawn(row, ending) {
    const { columns } = this.data;
    const density = columns[`density${ending}`][row];
    const judged = ["valid", "unique", "novel"].filter(name => columns[`${name}${ending}`].some(each => each !== null));
    const flags = judged.map(name => [name[0].toUpperCase() + name.slice(1), yesOrNo(columns[`${name}${ending}`][row])]);
    return [["Density", density === null ? MISSING : `${printed(density, 3)} g/cm³`], ...flags];
  }

  async draw(index, cell, id, group, suffix, what, judged = []) {
    const panel = this.panels[index];
    const { lengths, angles, volume } = cellParameters(cell.lattice);
    const { elements } = this.data;
    const rows = [
      ["Space group", group],
      ["a, b, c", `${lengths.map(each => each.toFixed(3)).join(", ")} Å`],
      ["α, β, γ", `${angles.map(each => each.toFixed(2)).join(", ")}°`],
      ["Volume", `${volume.toFixed(2)} Å³, ${(volume / cell.numbers.length).toFixed(2)} Å³ per atom`],
      ["Atoms", String(cell.numbers.length)],
      ...judged,
    ];
    panel.querySelector("dl").replaceChildren(...rows.map(pair => fact(...pair)));
    panel.querySelector(".get").replaceChildren(cifLink(cell, id, suffix, elements));
    panel.querySelector(".legend").replaceChildren(...[...new Set(cell.numbers)].sort((a, b) => a - b).map(number =>
      make("span", {}, make("i", { style: `background:${elements[number].colour}` }), elements[number].symbol)));
    await this.views[index].show(cell, `${id}, ${what}: ${cell.numbers.length} atoms, drawn from −0.1 to 1.1 of each axis`);
  }

  about(row) {
    const { columns, verdicts, texts } = this.data;
    const energies = ["e_form_per_atom", "decomposition_energy"].map(key => columns[key][row]);
    const products = columns.products[row];
    return [
      ...(this.data.origins?.[row]?.facts ?? []).map(pair => fact(...pair)),
      fact("Verdict", verdicts[columns.verdict[row]]),
      fact(titleNodes("E_d"), energies[1] === null ? MISSING : `${printed(energies[1], 4, true)} eV/atom`),
      fact(titleNodes("E_f"), energies[0] === null ? MISSING : `${printed(energies[0], 4, true)} eV/atom`),
      products && fact("Decomposes to", make("ul", {}, products.map(([formula, id, share, energy]) =>
        make("li", {}, `${printed(100 * share, 1)} % of the atoms `, formulaNodes(formula), ` (${id}, ${printed(energy, 3, true)} eV/atom)`)))),
      texts[columns.reasons[row]] && fact("Reasons", texts[columns.reasons[row]]),
    ].filter(Boolean);
  }

  // Arrow keys go on in the order of the table, unless a view or a choice has the focus.
  step(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (!steps[event.key] || event.target.closest("select")) return;
    event.preventDefault();
    this.go(steps[event.key]);
  }

  go(step) {
    const next = this.table.neighbour(this.row, step);
    if (next !== null) this.show(next);
  }

  closed() {
    history.replaceState(null, "", this.table.home);
    this.table.reveal(this.row);
  }
}

const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
