// The table: a page of rows at a time, sorted by its headings, filtered by the form above it.

class CrystalTable {
  constructor(root, data, open) {
    Object.assign(this, { root, data, open, home: "#crystal-table", page: 0, size: 50, sort: "decomposition_energy", descending: false });
    this.form = root.querySelector("form");
    this.body = root.querySelector("tbody");
    this.status = root.querySelector("[role=status]");
    this.buildForm();
    this.buildHead();
    this.buildPager();
    this.body.addEventListener("keydown", event => this.move(event));
    this.filter();
  }

  buildForm() {
    const { form, data } = this;
    data.verdicts.forEach((verdict, code) => {
      const count = data.columns.verdict.filter(each => each === code).length;
      if (count) form.elements.verdict.append(make("option", { value: code }, `${verdict} (${thousands(count)})`));
    });
    for (const column of COLUMNS.filter(each => each.number)) {
      form.elements.column.append(make("option", { value: column.key }, column.title.replace("_", "")));
    }
    form.elements.column.value = "decomposition_energy";
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("input", () => this.filter());
    form.addEventListener("reset", () => setTimeout(() => {
      form.elements.column.value = "decomposition_energy";
      this.filter();
    }));
  }

  buildHead() {
    this.heads = COLUMNS.map(column => make("th", { scope: "col", class: column.number ? "n" : null },
      make("button", { type: "button", onclick: () => this.sortBy(column.key) }, titleNodes(column.title))));
    this.root.querySelector("thead").replaceChildren(make("tr", {}, this.heads));
  }

  buildPager() {
    const button = (text, label, to) =>
      make("button", { type: "button", "aria-label": label, onclick: () => this.turn(to()) }, text);
    this.place = make("span", { class: "place" });
    const sizes = make("select", { name: "size", onchange: event => this.resize(Number(event.target.value)) },
      [25, 50, 100, 500].map(size => make("option", { value: size, selected: size === this.size }, String(size))));
    this.turners = [
      button("«", "First page", () => 0),
      button("‹", "Page before", () => this.page - 1),
      button("›", "Next page", () => this.page + 1),
      button("»", "Last page", () => this.pages - 1),
    ];
    this.root.querySelector(".pager").replaceChildren(
      ...this.turners.slice(0, 2), this.place, ...this.turners.slice(2), make("label", {}, "Rows ", sizes));
  }

  get pages() {
    return Math.max(1, Math.ceil(this.shown.length / this.size));
  }

  filter() {
    this.found = filtered(this.data, Object.fromEntries(new FormData(this.form)));
    this.arrange();
  }

  sortBy(key) {
    this.descending = this.sort === key && !this.descending;
    this.sort = key;
    this.arrange();
  }

  arrange() {
    const column = COLUMNS.find(each => each.key === this.sort);
    this.shown = sorted(this.found, this.data.columns[this.sort], column.number, this.descending);
    COLUMNS.forEach((each, index) => {
      const direction = this.descending ? "descending" : "ascending";
      if (each.key === this.sort) this.heads[index].setAttribute("aria-sort", direction);
      else this.heads[index].removeAttribute("aria-sort");
    });
    this.turn(0);
  }

  resize(size) {
    const first = this.page * this.size;
    this.size = size;
    this.turn(Math.floor(first / size));
  }

  turn(page) {
    this.page = Math.min(Math.max(0, page), this.pages - 1);
    const start = this.page * this.size;
    const rows = this.shown.slice(start, start + this.size);
    this.body.replaceChildren(...rows.map((row, index) => this.row(row, index === 0)));
    const [all, n] = [this.data.columns.material_id.length, this.shown.length];
    const span = n ? `${thousands(start + 1)} to ${thousands(start + rows.length)} of ` : "";
    this.status.textContent = `${span}${thousands(n)} crystals` + (n < all ? `, chosen from ${thousands(all)}` : "");
    this.place.textContent = `page ${thousands(this.page + 1)} of ${thousands(this.pages)}`;
    this.turners.forEach((button, index) => {
      button.disabled = index < 2 ? this.page === 0 : this.page === this.pages - 1;
    });
  }

  row(row, first) {
    const cells = COLUMNS.map((column, index) => {
      const shown = column.show(this.data, row);
      if (index > 0) return make("td", { class: column.number ? "n" : null }, shown);
      // One button of the page is in the tab order; arrow keys go to the others.
      return make("th", { scope: "row" }, make("button", { type: "button", class: "open", tabindex: first ? 0 : -1 }, shown));
    });
    const verdict = this.data.verdicts[this.data.columns.verdict[row]].replaceAll(" ", "-");
    return make("tr", { class: `crystal ${verdict}`, onclick: () => this.open(row) }, cells);
  }

  focus(index) {
    const buttons = [...this.body.querySelectorAll("button.open")];
    const target = buttons[Math.min(Math.max(0, index), buttons.length - 1)];
    if (!target) return;
    buttons.forEach(button => button.setAttribute("tabindex", button === target ? 0 : -1));
    target.focus();
  }

  move(event) {
    const at = [...this.body.rows].indexOf(event.target.closest("tr"));
    const last = this.body.rows.length - 1;
    const steps = {
      ArrowDown: () => (at < last ? this.focus(at + 1) : this.pageThenFocus(this.page + 1, 0)),
      ArrowUp: () => (at > 0 ? this.focus(at - 1) : this.pageThenFocus(this.page - 1, this.size)),
      PageDown: () => this.pageThenFocus(this.page + 1, at),
      PageUp: () => this.pageThenFocus(this.page - 1, at),
      Home: () => this.focus(0),
      End: () => this.focus(last),
    };
    if (!steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    steps[event.key]();
  }

  pageThenFocus(page, index) {
    if (page < 0 || page >= this.pages) return;
    this.turn(page);
    this.focus(index);
  }

  // The crystal `step` places further in the order that is shown; null beyond its ends.
  neighbour(row, step) {
    const at = this.shown.indexOf(row);
    return at < 0 ? null : this.shown[at + step] ?? null;
  }

  // Where the table stands when the view of a crystal closes.
  reveal(row) {
    const at = this.shown.indexOf(row);
    if (at < 0) return;
    if (Math.floor(at / this.size) !== this.page) this.turn(Math.floor(at / this.size));
    this.focus(at % this.size);
  }
}
