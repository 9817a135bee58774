// Cells as the page carries them, and the atoms and bonds that a picture shows.

const DRAWN = [-0.1, 1.1]; // fractional coordinates, as in Figure 3 of the paper
const BOND_TOLERANCE = 1.2; // times the sum of covalent radii, as in the page's other pictures
const YAW = (-24 * Math.PI) / 180;
const PITCH = (13 * Math.PI) / 180;

// Views on the packed bytes; see unimat/report/payload.py for their order.
function readGeometry(buffer, count) {
  const counts = new Uint16Array(buffer.slice(0, 2 * count));
  const offsets = new Uint32Array(count + 1);
  counts.forEach((n, index) => (offsets[index + 1] = offsets[index] + n));
  const atoms = offsets[count];
  const lattices = new Float32Array(buffer.slice(2 * count, 38 * count));
  const coords = new Float32Array(buffer.slice(38 * count, 38 * count + 12 * atoms));
  const numbers = new Uint8Array(buffer, 38 * count + 12 * atoms, atoms);
  return index => ({
    lattice: [0, 1, 2].map(row => [...lattices.subarray(9 * index + 3 * row, 9 * index + 3 * row + 3)]),
    numbers: [...numbers.subarray(offsets[index], offsets[index + 1])],
    coords: Array.from({ length: counts[index] }, (_, atom) => {
      const at = 3 * (offsets[index] + atom);
      return [...coords.subarray(at, at + 3)];
    }),
  });
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const norm = a => Math.hypot(...a);
const scaled = (a, factor) => a.map(value => value * factor);
const minus = (a, b) => a.map((value, axis) => value - b[axis]);
const unit = a => scaled(a, 1 / norm(a));
const cartesian = (frac, lattice) => [0, 1, 2].map(axis => dot(frac, lattice.map(row => row[axis])));

// Lengths in Å and angles in degrees, and the volume in Å³.
function cellParameters(lattice) {
  const [a, b, c] = lattice;
  const angle = (one, other) => (Math.acos(Math.min(1, Math.max(-1, dot(unit(one), unit(other))))) * 180) / Math.PI;
  return {
    lengths: lattice.map(norm),
    angles: [angle(b, c), angle(a, c), angle(a, b)],
    volume: Math.abs(dot(a, cross(b, c))),
  };
}

// Turned so that c points up and a lies in the plane of the page, then a little, for depth.
function upright(lattice) {
  const up = unit(lattice[2]);
  const right = unit(minus(lattice[0], scaled(up, dot(lattice[0], up))));
  const frame = [right, up, cross(right, up)];
  return lattice.map(vector => {
    const [x, y, z] = frame.map(axis => dot(vector, axis));
    const [turnedX, turnedZ] = [x * Math.cos(YAW) + z * Math.sin(YAW), -x * Math.sin(YAW) + z * Math.cos(YAW)];
    return [turnedX, y * Math.cos(PITCH) - turnedZ * Math.sin(PITCH), y * Math.sin(PITCH) + turnedZ * Math.cos(PITCH)];
  });
}

// Every image of every atom within the drawn range: atomic number and position (Å) in the viewer's frame.
function drawnAtoms(cell) {
  const lattice = upright(cell.lattice);
  const images = value => {
    const home = value - Math.floor(value);
    return [home - 1, home, home + 1].filter(each => each >= DRAWN[0] - 1e-6 && each <= DRAWN[1] + 1e-6);
  };
  return cell.coords.flatMap((frac, index) => {
    const [x, y, z] = frac.map(images);
    return x.flatMap(a => y.flatMap(b => z.map(c =>
      ({ number: cell.numbers[index], at: cartesian([a, b, c], lattice) }))));
  });
}

// Pairs of drawn atoms that are near enough; cations of an ionic crystal are near each other, not bonded.
function bondsOf(atoms, elements) {
  const metals = atoms.map(atom => elements[atom.number].metal);
  const mixed = metals.includes(1) && metals.includes(0);
  const found = [];
  atoms.forEach((one, i) => {
    for (let j = i + 1; j < atoms.length; j += 1) {
      const reach = BOND_TOLERANCE * (elements[one.number].radius + elements[atoms[j].number].radius);
      const distance = norm(minus(one.at, atoms[j].at));
      if (distance > 0.1 && distance <= reach && !(mixed && metals[i] && metals[j])) found.push([i, j]);
    }
  });
  return found;
}

// The twelve edges of the cell as pairs of points in the viewer's frame.
function cellEdges(cell) {
  const lattice = upright(cell.lattice);
  const corners = Array.from({ length: 8 }, (_, bits) => cartesian([bits & 1, (bits >> 1) & 1, (bits >> 2) & 1], lattice));
  return corners.flatMap((corner, i) => [1, 2, 4].filter(bit => !(i & bit)).map(bit => [corner, corners[i | bit]]));
}
