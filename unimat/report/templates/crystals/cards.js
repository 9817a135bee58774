// Cards that Python has drawn, in the order of the page: what a crystal's view needs of a table.

class CrystalCards {
  constructor(root, data) {
    Object.assign(this, { root, data, home: "#main" });
  }

  neighbour(row, step) {
    const next = row + step;
    return next >= 0 && next < this.data.columns.material_id.length ? next : null;
  }

  reveal(row) {
    byId(`card-${this.data.columns.material_id[row]}`)?.querySelector("a")?.focus();
  }
}
