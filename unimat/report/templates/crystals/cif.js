// A CIF of a cell, all atoms written out (P 1): what is drawn is what is downloaded.

function cifOf(cell, id, elements) {
  const { lengths, angles, volume } = cellParameters(cell.lattice);
  const names = ["a", "b", "c"].map((axis, i) => `_cell_length_${axis} ${lengths[i].toFixed(6)}`);
  const turns = ["alpha", "beta", "gamma"].map((axis, i) => `_cell_angle_${axis} ${angles[i].toFixed(6)}`);
  const sites = cell.numbers.map((number, i) => {
    const { symbol } = elements[number];
    return `${symbol} ${symbol}${i + 1} ${cell.coords[i].map(value => value.toFixed(7)).join(" ")} 1`;
  });
  return [
    `# ${id.replace(/[^\x20-\x7e]/g, "?")}, from a unimat report`,
    `data_${id.replace(/[^\w.-]/g, "_")}`,
    "_symmetry_space_group_name_H-M 'P 1'",
    "_symmetry_Int_Tables_number 1",
    ...names,
    ...turns,
    `_cell_volume ${volume.toFixed(6)}`,
    "loop_", "_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz", "1 'x, y, z'",
    "loop_", "_atom_site_type_symbol", "_atom_site_label",
    ...["x", "y", "z"].map(axis => `_atom_site_fract_${axis}`), "_atom_site_occupancy",
    ...sites,
    "",
  ].join("\n");
}

const cifLink = (cell, id, what, elements) =>
  make("a", {
    class: "cif",
    href: `data:chemical/x-cif;charset=utf-8,${encodeURIComponent(cifOf(cell, id, elements))}`,
    download: `${id.replace(/[^\w.-]/g, "_")}${what}.cif`,
  }, "CIF", make("span", { class: "visually-hidden" }, ` of ${id}`));
