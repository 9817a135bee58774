// Pictures of cells: by 3Dmol.js where the browser has WebGL, as flat SVG where it has not, and in print.

const BALL = 0.42; // radius of a ball as a share of the covalent radius
const STICK = 0.09; // Å
const SVG = "http://www.w3.org/2000/svg"; // a name, never fetched

let library = null; // 3Dmol.js, unpacked when the first crystal is opened

function hasWebGL() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
}

// Runs the packed library once.
async function loadLibrary() {
  const source = asText(await unpack("viewer-library"));
  document.head.append(make("script", {}, source));
  return window.$3Dmol;
}

class CrystalView {
  constructor(box, elements) {
    Object.assign(this, { box, elements, canvas: make("div", { class: "canvas" }), flat: make("div", { class: "flat" }) });
    this.note = make("p", { class: "no-webgl", hidden: true },
      "This browser has no WebGL, so the crystal cannot be turned; a flat picture stands in.");
    box.replaceChildren(this.canvas, this.flat, this.note);
    box.addEventListener("keydown", event => this.turn(event));
  }

  async show(cell, label) {
    const atoms = drawnAtoms(cell);
    const bonds = bondsOf(atoms, this.elements);
    this.box.setAttribute("aria-label", label);
    this.flat.replaceChildren(flatPicture(cell, atoms, bonds, this.elements));
    if (!hasWebGL()) {
      this.box.classList.add("without-webgl");
      this.note.hidden = false;
      return;
    }
    library ??= loadLibrary();
    const mol = await library;
    if (this.canvas.clientWidth > 0) this.draw(mol, cell, atoms, bonds); // it may have been closed meanwhile
  }

  // 3Dmol.js watches its size, and renders at zero size when the view is closed; this one waits until it is shown.
  create(mol) {
    const viewer = mol.createViewer(this.canvas, { backgroundAlpha: 0, antialias: true, orthographic: true });
    viewer.divwatcher?.disconnect();
    viewer.intwatcher?.disconnect();
    new ResizeObserver(() => this.canvas.clientWidth > 0 && viewer.resize()).observe(this.canvas);
    return viewer;
  }

  draw(mol, cell, atoms, bonds) {
    this.viewer ??= this.create(mol);
    const { viewer } = this;
    viewer.clear();
    const model = viewer.addModel();
    model.addAtoms(atoms.map(({ number, at }, index) => {
      const mates = bonds.filter(pair => pair.includes(index)).map(([i, j]) => (i === index ? j : i));
      const { symbol } = this.elements[number];
      return { elem: symbol, atom: symbol, x: at[0], y: at[1], z: at[2], bonds: mates, bondOrder: mates.map(() => 1) };
    }));
    for (const number of new Set(cell.numbers)) {
      const { symbol, colour: color, radius } = this.elements[number];
      viewer.setStyle({ elem: symbol }, { sphere: { radius: BALL * radius, color }, stick: { radius: STICK, color } });
    }
    const ink = getComputedStyle(this.box).getPropertyValue("--muted").trim();
    const vector = ([x, y, z]) => ({ x, y, z });
    const edges = cellEdges(cell);
    edges.forEach(([start, end]) =>
      viewer.addCylinder({ start: vector(start), end: vector(end), radius: 0.025, color: ink, fromCap: 1, toCap: 1 }));
    edges.slice(0, 3).forEach(([, end], axis) =>
      viewer.addLabel("abc"[axis], { position: vector(end), fontSize: 16, fontColor: ink, showBackground: false }));
    viewer.resize();
    viewer.zoomTo();
    viewer.zoom(1.7); // it leaves twice the room that a turn about any axis needs
    viewer.render();
    this.start = viewer.getView();
    this.box.dataset.drawn = atoms.length;
  }

  // Arrow keys turn, + and - zoom, 0 goes back to the start.
  turn(event) {
    const { viewer } = this;
    const steps = {
      ArrowLeft: () => viewer.rotate(-10, "y"),
      ArrowRight: () => viewer.rotate(10, "y"),
      ArrowUp: () => viewer.rotate(-10, "x"),
      ArrowDown: () => viewer.rotate(10, "x"),
      "+": () => viewer.zoom(1.2),
      "-": () => viewer.zoom(1 / 1.2),
      0: () => viewer.setView(this.start),
    };
    if (!viewer || !steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    steps[event.key]();
    viewer.render();
  }
}

function drawn(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// Balls, sticks and cell edges, farther ones first.
function flatPicture(cell, atoms, bonds, elements) {
  const shapes = [];
  const line = (start, end, attributes) => shapes.push([(start[2] + end[2]) / 2,
    drawn("line", { x1: start[0], y1: -start[1], x2: end[0], y2: -end[1], ...attributes })]);
  const middle = (a, b) => a.map((value, axis) => (value + b[axis]) / 2);
  const edges = cellEdges(cell);
  edges.forEach(([start, end]) => {
    const half = middle(start, end);
    line(start, half, { class: "edge", "stroke-width": 0.04 });
    line(half, end, { class: "edge", "stroke-width": 0.04 });
  });
  bonds.forEach(pair => {
    const half = middle(...pair.map(index => atoms[index].at));
    pair.forEach(index => line(atoms[index].at, half, { stroke: elements[atoms[index].number].colour, "stroke-width": 2 * STICK }));
  });
  atoms.forEach(({ number, at }) => shapes.push([at[2] + 0.01, drawn("circle",
    { class: "ball", cx: at[0], cy: -at[1], r: BALL * elements[number].radius, fill: elements[number].colour, "stroke-width": 0.03 })]));
  const points = [...edges.flat(), ...atoms.map(atom => atom.at)];
  const [low, high] = [Math.min, Math.max].map(pick => [pick(...points.map(p => p[0])) , pick(...points.map(p => -p[1]))]);
  const picture = drawn("svg", { role: "img", viewBox: `${low[0] - 1} ${low[1] - 1} ${high[0] - low[0] + 2} ${high[1] - low[1] + 2}` });
  picture.append(...shapes.sort((a, b) => a[0] - b[0]).map(([, shape]) => shape));
  return picture;
}
